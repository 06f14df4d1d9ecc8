/* Users, groups and capabilities of one thread, set by the bare calls: the C library's change those of all threads. */
#include "attribute.h"
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <netinet/in.h>

#define NOBODY 65534

static void show_reading(char *text) {
  char path[300];
  int fd = open(in_folder(path, "private"), O_RDONLY);
  tell(text, "private file %d", fd == -1 ? -errno : 0);
  if (fd >= 0) close(fd);
}

static long effective_user(void) { return RESULT(syscall(SYS_setresuid, -1, NOBODY, -1)); }
static void show_effective_user(char *text) {
  tell(text, "%d, ", geteuid());
  show_reading(text);
}
static long file_user(void) { return syscall(SYS_setfsuid, NOBODY) == 0 ? 0 : -1; }
static void show_file_user(char *text) {
  tell(text, "%d, ", (int)syscall(SYS_setfsuid, -1));
  show_reading(text);
}
static long groups(void) {
  gid_t group = 12345;
  return RESULT(syscall(SYS_setgroups, 1, &group));
}
static void show_groups(char *text) {
  gid_t group[50];
  int count = getgroups(50, group);
  tell(text, "%d groups, the first %d", count, count > 0 ? (int)group[0] : -1);
}
static long group(void) { return RESULT(syscall(SYS_setresgid, -1, NOBODY, -1)); }
static void show_group(char *text) { tell(text, "%d", getegid()); }

struct sets {
  struct __user_cap_header_struct header;
  struct __user_cap_data_struct data[2];
};
static struct sets sets(void) {
  struct sets now = {.header = {_LINUX_CAPABILITY_VERSION_3, 0}};
  CHECK(syscall(SYS_capget, &now.header, now.data) == 0);
  return now;
}
static long lower(void) {
  struct sets now = sets();
  now.data[0].effective &= ~(1u << CAP_NET_RAW);
  now.data[0].permitted &= ~(1u << CAP_NET_RAW);
  return RESULT(syscall(SYS_capset, &now.header, now.data));
}
static void show_lowered(char *text) {
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  tell(text, "%d %d, raw socket %d", sets().data[0].effective >> CAP_NET_RAW & 1,
       sets().data[0].permitted >> CAP_NET_RAW & 1, fd == -1 ? -errno : 0);
  if (fd >= 0) close(fd);
}
static long inherit(unsigned capability) {
  struct sets now = sets();
  now.data[0].inheritable |= 1u << capability;
  return RESULT(syscall(SYS_capset, &now.header, now.data));
}
static long inheritable(void) { return inherit(CAP_KILL); }
static void show_inheritable(char *text) { tell(text, "%d", sets().data[0].inheritable >> CAP_KILL & 1); }
static long bounding(void) { return RESULT(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0)); }
static void show_bounding(char *text) { tell(text, "%d", prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0)); }
static long ambient(void) {
  long result = inherit(CAP_CHOWN);
  return result == 0 ? RESULT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)) : result;
}
static void show_ambient(char *text) {
  tell(text, "%d", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
}
static long keep(void) { return RESULT(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)); }
static void show_keep(char *text) { tell(text, "%d", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0)); }

static const struct attribute ATTRIBUTES[] = {
    {"effective user", effective_user, show_effective_user},
    {"user for files", file_user, show_file_user},
    {"groups", groups, show_groups},
    {"effective group", group, show_group},
    {"effective capabilities", lower, show_lowered},
    {"inheritable capabilities", inheritable, show_inheritable},
    {"bounding set", bounding, show_bounding},
    {"ambient set", ambient, show_ambient},
    {"kept capabilities", keep, show_keep},
};
static const int COUNT = sizeof ATTRIBUTES / sizeof *ATTRIBUTES;

static void prepare(void) {
  char path[300];
  int fd = open(in_folder(path, "private"), O_CREAT | O_WRONLY, 0600);
  CHECK(fd >= 0 && close(fd) == 0);
}
