/* clone and clone3 by raw system call: a plain child, a child with its own stack, pidfd, and bad arguments. */
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include "check.h"

static int on_own_stack(void *value) { return *(int *)value; }

int main(void) {
  struct clone_args args = {.exit_signal = SIGCHLD};
  pid_t pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(21);
  if (pid < 0) say("clone3 failed: %d", errno);
  else say_ending("clone3", pid);
  int pidfd = -1;
  args.flags = CLONE_PIDFD, args.pidfd = (uintptr_t)&pidfd;
  pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(22);
  if (pid > 0) {
    struct pollfd wait = {pidfd, POLLIN, 0};
    CHECK(poll(&wait, 1, 5000) == 1);
    say_ending("clone3 with pidfd", pid);
  }
  say("clone3 with a bad size: %d", (int)syscall(SYS_clone3, &args, 3));
  char *stack = malloc(65536);
  int value = 23;
  pid = clone(on_own_stack, stack + 65536, SIGCHLD, &value);
  say_ending("clone with a stack", pid);
  pid = clone(on_own_stack, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
  say_ending("clone with shared memory", pid);
  pid = clone(on_own_stack, stack + 65536, CLONE_VM | CLONE_FILES | SIGCHLD, &value);
  say_ending("clone with shared memory and files", pid);
  pid = clone(on_own_stack, stack + 65536, 0, &value);
  int status;
  say("without exit signal: plain wait finds none %d", waitpid(-1, &status, 0) == -1 && errno == ECHILD);
  CHECK(waitpid(pid, &status, __WALL) == pid);
  say("with __WALL: %d", WEXITSTATUS(status));
  return 0;
}
