/* What only a process with a single thread may do, once it has helpers that it does not know of: each in a child that the
   first process makes before the first phase, and that does it in the given one. Used like the others (attribute.h). */
#define NEVER_HELD
#include <sched.h>
#include <sys/stat.h>
#include "check.h"

#define PHASES 6

static long unshares_users(void) { return unshare(CLONE_NEWUSER); }
static long unshares_memory(void) { return unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD); }
static long enters_mounts(void) {
  int fd = open("/proc/self/ns/mnt", O_RDONLY);
  CHECK(fd >= 0);
  long result = setns(fd, CLONE_NEWNS);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static const struct {
  const char *name;
  long (*act)(void);
} ACTS[] = {
    {"unshare the user namespace", unshares_users},
    {"unshare memory, handlers and threads", unshares_memory},
    {"enter a mount namespace", enters_mounts},
};
#define COUNT (int)(sizeof ACTS / sizeof *ACTS)

static void acts(int which, int when, const char *folder) {
  for (int at = 0; at < PHASES; at++) {
    char path[300];
    snprintf(path, sizeof path, "%s/phase-%d", folder, at);
    while (access(path, F_OK) != 0) pause_ms(5);
    if (at != when) continue;
    long result = ACTS[which].act();
    say("%s, phase %d: set: %d", ACTS[which].name, at, result == -1 ? -errno : 0);
  }
}

int main(int argc, char **argv) {
  pid_t children[COUNT];
  if (argc != 3) return 2;
  for (int i = 0; i < COUNT; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      acts(i, atoi(argv[1]), argv[2]);
      _exit(0);
    }
  }
  for (int at = 0; at < PHASES; at++) {
    char path[300];
    snprintf(path, sizeof path, "%s/phase-%d", argv[2], at);
    while (access(path, F_OK) != 0) pause_ms(5);
    pause_ms(20);
    say("phase %d is over", at);
  }
  for (int i = 0; i < COUNT; i++) say_ending(ACTS[i].name, children[i]);
  return 0;
}
