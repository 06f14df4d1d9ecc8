/* PR_SET_MDWE: memory does not become executable, in the process and in its children. */
#include <sys/prctl.h>
#include "check.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define TRY(call)                                 \
  do {                                            \
    long result = (long)(call);                   \
    say("%s: %d", #call, result == -1 ? errno : 0); \
  } while (0)

static char *map(int protection, int flags, int fd) {
  return mmap(NULL, 2 * PAGE, protection, MAP_PRIVATE | flags, fd, 0);
}

static void tries(void) {
  enum { R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC };
  int fd = open("/proc/self/exe", O_RDONLY);
  char *written = map(R | W, MAP_ANONYMOUS, -1);
  memset(written, 'w', 2 * PAGE);
  TRY(map(R | W | X, MAP_ANONYMOUS, -1));
  TRY(map(R | X, MAP_ANONYMOUS, -1));
  TRY(map(R | W | X, 0, fd));
  TRY(map(R | X, 0, fd));
  TRY(mprotect(written, PAGE, R | X));
  TRY(mprotect(written, PAGE, R | W | X));
  TRY(mprotect(written, PAGE, R));
  TRY(mprotect(written, PAGE, R | X));
  TRY(mmap(written, PAGE, R | W | X, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  say("intact: %c %c", written[0], written[PAGE]);
  char *code = map(R | X, MAP_ANONYMOUS, -1);
  TRY(mprotect(code, PAGE, R));
  TRY(mprotect(code + PAGE, PAGE, R | X));
  char *file = map(R | W, 0, fd), *text = map(R, 0, fd);
  TRY(mprotect(file, PAGE, R | X));
  TRY(mprotect(text, PAGE, R | X));
  TRY(mprotect(text, PAGE, R | W));
}

int main(void) {
  if (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0) {
    say("no PR_SET_MDWE");
    return 0;
  }
  tries();
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    tries();
    _exit(0);
  }
  say_ending("child", pid);
  return 0;
}
