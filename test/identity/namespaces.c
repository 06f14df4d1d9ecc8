/* Namespaces that one thread enters or makes. The first thread is not in them, and must not notice. */
#include "attribute.h"
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/un.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void show_link(char *text, const char *name) {
  char path[100], own[100] = {0}, first[100] = {0};
  snprintf(path, sizeof path, "/proc/thread-self/ns/%s", name);
  CHECK(readlink(path, own, sizeof own - 1) > 0);
  snprintf(path, sizeof path, "/proc/self/ns/%s", name);
  CHECK(readlink(path, first, sizeof first - 1) > 0);
  tell(text, "%s", strcmp(own, first) == 0 ? "the first thread's" : "another");
}

static long mounts(void) {
  char path[300];
  if (unshare(CLONE_NEWNS) == -1) return -errno;
  long result = RESULT(mount("atlas-test", in_folder(path, "mounted"), "tmpfs", 0, NULL));
  if (result != 0) return result;
  strcat(path, "/file");
  close(open(path, O_CREAT | O_WRONLY, 0644));
  return 0;
}
static void show_mounts(char *text) {
  char path[300];
  strcat((char *)in_folder(path, "mounted"), "/file");
  tell(text, "file %ld, ", RESULT(access(path, F_OK)));
  show_link(text, "mnt");
}

static long names(void) {
  if (unshare(CLONE_NEWUTS) == -1) return -errno;
  return RESULT(sethostname("inner", 5));
}
static void show_names(char *text) {
  struct utsname name;
  CHECK(uname(&name) == 0);
  tell(text, "%s", name.nodename);
}

static long other_names(void) {
  int ready[2], fd;
  char path[100], byte;
  if (pipe(ready) == -1) return -errno;
  pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWUTS) == -1 || sethostname("entered", 7) == -1) _exit(1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(ready[1]);
  long got = read(ready[0], &byte, 1);
  snprintf(path, sizeof path, "/proc/%d/ns/uts", pid);
  fd = open(path, O_RDONLY);
  long result = got != 1 || fd == -1 ? -EIO : RESULT(setns(fd, CLONE_NEWUTS));
  close(fd);
  close(ready[0]);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return result;
}

static key_t ipc_key(void) { return 0x41540000 + getpid() % 0x10000; }
static long queues(void) {
  if (unshare(CLONE_NEWIPC) == -1) return -errno;
  return RESULT(semget(ipc_key(), 1, IPC_CREAT | 0600));
}
static void show_queues(char *text) { tell(text, "%ld", RESULT(semget(ipc_key(), 0, 0))); }

static int held;
static struct sockaddr_un address(socklen_t *length) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int count = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "atlas-test-%d", getpid());
  *length = offsetof(struct sockaddr_un, sun_path) + 1 + count;
  return name;
}
/* The name is taken in the network that the program began in. */
static void show_network(char *text) {
  socklen_t length;
  struct sockaddr_un name = address(&length);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  tell(text, "bind %ld", RESULT(bind(fd, (struct sockaddr *)&name, length)));
  close(fd);
}
static long network(void) { return RESULT(unshare(CLONE_NEWNET)); }

static long groups(void) { return RESULT(unshare(CLONE_NEWCGROUP)); }
static void show_groups(char *text) { show_link(text, "cgroup"); }

/* The namespace is there as soon as its first process is, which lives as long as this thread. */
static long processes(void) {
  if (unshare(CLONE_NEWPID) == -1) return -errno;
  int out[2];
  pid_t first = 0;
  CHECK(pipe(out) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    first = getpid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || write(out[1], &first, sizeof first) != sizeof first) _exit(1);
    for (;;) pause();
  }
  close(out[1]);
  long got = pid == -1 ? -errno : read(out[0], &first, sizeof first);
  close(out[0]);
  return got == sizeof first && first == 1 ? 0 : got < 0 ? got : -ECHILD;
}
static void show_processes(char *text) { show_link(text, "pid_for_children"); }

static long times(void) {
  if (unshare(CLONE_NEWTIME) == -1) return -errno;
  char path[100];
  snprintf(path, sizeof path, "/proc/%d/timens_offsets", gettid());
  int fd = open(path, O_WRONLY);
  long result = fd == -1 ? -errno : write(fd, "monotonic 500000 0", 18) == 18 ? 0 : -errno;
  close(fd);
  return result;
}
static void show_times(char *text) {
  struct timespec now, later;
  int out[2];
  CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && pipe(out) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &later);
    _exit(write(out[1], &later, sizeof later) != sizeof later);
  }
  CHECK(read(out[0], &later, sizeof later) == sizeof later && waitpid(pid, NULL, 0) == pid);
  close(out[0]);
  close(out[1]);
  tell(text, "a child's clock is %s", later.tv_sec > now.tv_sec + 400000 ? "ahead" : "the same");
}

/* Not for a process with several threads. */
static long users(void) { return RESULT(unshare(CLONE_NEWUSER)); }
static void show_users(char *text) { show_link(text, "user"); }

static const struct attribute ATTRIBUTES[] = {
    {"mount namespace", mounts, show_mounts},
    {"host name", names, show_names},
    {"host name by setns", other_names, show_names},
    {"System V namespace", queues, show_queues},
    {"network namespace", network, show_network},
    {"cgroup namespace", groups, show_groups},
    {"process namespace", processes, show_processes},
    {"time namespace", times, show_times},
    {"user namespace", users, show_users},
};
static const int COUNT = sizeof ATTRIBUTES / sizeof *ATTRIBUTES;

static void prepare(void) {
  char path[300];
  CHECK(mkdir(in_folder(path, "mounted"), 0755) == 0);
  socklen_t length;
  struct sockaddr_un name = address(&length);
  held = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(held, (struct sockaddr *)&name, length) == 0);
}
