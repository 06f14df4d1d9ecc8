/* A chain of execs keeps pid, pending and blocked signals and ignored dispositions; handlers are reset. */
#include "check.h"

static void handler(int unused) { (void)unused; }

int main(int argc, char **argv) {
  int depth = argc > 1 ? atoi(argv[1]) : 0;
  char next[20], pid[20];
  snprintf(next, sizeof next, "%d", depth + 1);
  snprintf(pid, sizeof pid, "%d", getpid());
  struct sigaction action;
  if (depth == 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    signal(SIGHUP, SIG_IGN);
  } else {
    CHECK(atoi(argv[2]) == getpid());
    CHECK(sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
  }
  signal(SIGUSR2, handler);
  char *block = malloc(3 << 20);
  memset(block, depth, 3 << 20);
  say("image %d", depth);
  if (depth < 12) {
    execl("/proc/self/exe", argv[0], next, pid, (char *)NULL);
    CHECK(0);
  }
  execlp("sh", "sh", "-c", "echo the end; exec true", (char *)NULL);
  return 1;
}
