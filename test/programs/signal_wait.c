/* sigwait, sigwaitinfo and sigtimedwait take process- and thread-directed signals with their origin. */
#include "check.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGCHLD);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  struct timespec brief = {0, 20000000};
  siginfo_t info;
  say("nothing there: %s", sigtimedwait(&set, &info, &brief) == -1 && errno == EAGAIN ? "EAGAIN" : "?");
  int number;
  kill(getpid(), SIGUSR1);
  CHECK(sigwait(&set, &number) == 0);
  say("sigwait: %d", number);
  pthread_kill(pthread_self(), SIGUSR2);
  CHECK(sigwaitinfo(&set, &info) == SIGUSR2);
  say("sigwaitinfo: code %d, from me %d", info.si_code, info.si_pid == getpid());
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    pause_ms(30);
    kill(parent, SIGUSR1);
    pause_ms(30);
    _exit(19);
  }
  struct timespec ample = {10, 0};
  CHECK(sigtimedwait(&set, &info, &ample) == SIGUSR1);
  say("from the child: %d code %d", info.si_pid == pid, info.si_code);
  CHECK(sigtimedwait(&set, &info, &ample) == SIGCHLD);
  say("SIGCHLD: child %d status %d code %d", info.si_pid == pid, info.si_status, info.si_code);
  say_ending("child", pid);
  return 0;
}
