/* pidfd_open, pidfd_send_signal, pidfd_getfd and waitid(P_PIDFD) on a child. */
#include <poll.h>
#include "check.h"

int main(void) {
  int channel[2];
  CHECK(pipe(channel) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  int fd = syscall(SYS_pidfd_open, pid, 0);
  CHECK(fd >= 0);
  int copy = syscall(SYS_pidfd_getfd, fd, channel[1], 0);
  CHECK(copy >= 0 && write(copy, "x", 1) == 1 && read(channel[0], &(char){0}, 1) == 1);
  CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
  struct pollfd wait = {fd, POLLIN, 0};
  CHECK(poll(&wait, 1, 10000) == 1);
  siginfo_t info;
  CHECK(waitid(3 /* P_PIDFD */, fd, &info, WEXITED) == 0);
  say("status %d code %d child %d", info.si_status, info.si_code, info.si_pid == pid);
  return 0;
}
