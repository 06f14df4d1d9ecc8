/* waitid and waitpid with all their options: any child, a group, no hang, keep, and SIGCHLD ignored. */
#include <sys/resource.h>
#include "check.h"

int main(void) {
  say("no child: %d", waitpid(-1, NULL, 0) == -1 ? errno : 0);
  pid_t pid = fork();
  if (pid == 0) {
    pause_ms(60);
    _exit(1);
  }
  say("not yet: %d", waitpid(pid, NULL, WNOHANG));
  siginfo_t info;
  CHECK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
  say("kept: code %d status %d", info.si_code, info.si_status);
  struct rusage usage;
  int status;
  CHECK(wait4(pid, &status, 0, &usage) == pid);
  say("taken: %d", WEXITSTATUS(status));
  say("gone: %d", waitpid(pid, NULL, 0) == -1 ? errno : 0);
  pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    _exit(2);
  }
  setpgid(pid, pid);
  CHECK(waitpid(-pid, &status, 0) == pid);
  say("by group: %d", WEXITSTATUS(status));
  int sum = 0;
  for (int i = 0; i < 20; i++)
    if (fork() == 0) _exit(i);
  while (wait(&status) > 0) sum += WEXITSTATUS(status);
  say("sum of any child: %d", sum);
  signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < 5; i++)
    if (fork() == 0) _exit(i);
  say("reaped by the kernel: %d", wait(&status) == -1 ? errno : 0);
  signal(SIGCHLD, SIG_DFL);
  return 0;
}
