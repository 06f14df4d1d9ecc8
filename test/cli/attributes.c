/* What a program gets from its parent. `attributes give COMMAND…` executes the command with unusual ones;
   `attributes show` tells what it was given. */
#include <sys/resource.h>
#include <sys/stat.h>
#include "check.h"

static void give(char **command) {
  int ends[2];
  for (int signal_ = 1; signal_ <= 64; signal_ += 7) signal(signal_, SIG_IGN);
  signal(SIGHUP, SIG_IGN), signal(SIGCHLD, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  for (int signal_ = 2; signal_ <= 64; signal_ += 5) sigaddset(&mask, signal_);
  CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = 555;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  /* Both ends of one pipe, /dev/null and a socket look like Node.js's own; a gap, and numbers on both sides of 16. */
  CHECK(pipe(ends) == 0);
  CHECK(dup2(ends[0], 8) == 8 && dup2(ends[1], 9) == 9 && dup2(ends[1], 17) == 17 && dup2(ends[0], 400) == 400);
  CHECK(dup2(open("/dev/null", O_RDWR), 12) == 12);
  for (int fd = 3; fd < 8; fd++) close(fd);
  close(0);
  execv(command[0], command);
  _exit(127);
}

int main(int argc, char **argv) {
  if (argc > 2) give(argv + 2);
  char line[300];
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  say("open files %lu", limit.rlim_cur);
  for (int fd = 0; fd < 555; fd++) {
    struct stat status;
    if (fstat(fd, &status) == 0) say("%d: %o", fd, status.st_mode & S_IFMT);
  }
  FILE *file = fopen("/proc/self/status", "re");
  while (fgets(line, sizeof line, file))
    if (strncmp(line, "Sig", 3) == 0 && line[3] != 'Q') printf("%s", line);
  return 0;
}
