/* Children made with CLONE_PARENT are their creator's siblings; the parent waits for them, the creator cannot. */
#include <sched.h>
#include "check.h"

static void sibling_of(const char *how, long flags) {
  pid_t grandparent = getpid();
  int channel[2];
  CHECK(pipe(channel) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    pid_t sibling = syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (sibling == 0) {
      if (getppid() != grandparent) _exit(98);
      _exit(5);
    }
    CHECK(sibling > 0 && write(channel[1], &sibling, sizeof sibling) == sizeof sibling);
    int status;
    pid_t waited = waitpid(-1, &status, 0);
    say("%s: its creator waits: %d, %s", how, waited == sibling, waited < 0 ? strerror(errno) : "-");
    _exit(6);
  }
  pid_t sibling;
  CHECK(read(channel[0], &sibling, sizeof sibling) == sizeof sibling);
  say_ending("creator", pid);
  say_ending("sibling", sibling);
  close(channel[0]), close(channel[1]);
}

int main(void) {
  sibling_of("fork", CLONE_PARENT | SIGCHLD);
  sibling_of("another signal", CLONE_PARENT | SIGUSR2);
  sibling_of("vfork", CLONE_PARENT | CLONE_VFORK | SIGCHLD);
  return 0;
}
