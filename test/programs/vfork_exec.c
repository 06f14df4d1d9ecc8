/* A vfork child shares its parent's memory until exec or exit. */
#include "check.h"

int main(void) {
  volatile int shared = 1;
  pid_t pid = vfork();
  if (pid == 0) {
    shared = 2;
    _exit(5);
  }
  say("after exit of the child: %d", shared);
  say_ending("child", pid);
  pid = vfork();
  if (pid == 0) {
    shared = 3;
    execl("/bin/sh", "sh", "-c", "echo from the shell; exit 6", (char *)NULL);
    _exit(127);
  }
  int seen = shared;
  say_ending("shell", pid); /* first: both print, and the exec sets both free */
  say("after exec of the child: %d", seen);
  pid = vfork();
  if (pid == 0) {
    execl("/nonexistent", "x", (char *)NULL);
    shared = errno;
    _exit(127);
  }
  say("failed exec: errno %d", shared);
  say_ending("child", pid);
  pid = vfork();
  if (pid == 0) kill(getpid(), SIGKILL);
  say_ending("killed", pid);
  return 0;
}
