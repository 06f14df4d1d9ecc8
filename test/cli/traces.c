/* Wants to trace, as debuggers and leak detectors do: a child that asks for it, a child that is attached to. */
#include <sys/ptrace.h>
#include "check.h"

static void attempt(const char *what, long result) { say("%s %ld errno %d", what, result, errno); }

int main(void) {
  pid_t willing = fork();
  if (willing == 0) {
    attempt("traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    attempt("traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    _exit(0);
  }
  CHECK(waitpid(willing, NULL, 0) == willing);
  pid_t asleep = fork();
  if (asleep == 0) {
    pause();
    _exit(0);
  }
  attempt("attach", ptrace(PTRACE_ATTACH, asleep, 0, 0));
  attempt("seize", ptrace(PTRACE_SEIZE, asleep, 0, 0));
  kill(asleep, SIGKILL);
  CHECK(waitpid(asleep, NULL, 0) == asleep);
  attempt("peek", ptrace(PTRACE_CONT, getppid(), 0, 0));
  return 0;
}
