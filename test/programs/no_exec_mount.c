/* no_exec_mount FILE: a file on a `noexec` mount does not become code, however it is mapped; other memory does. */
#include "check.h"

#define TRY(call)                                   \
  do {                                              \
    long result = (long)(call);                     \
    say("%s: %d", #call, result == -1 ? errno : 0); \
  } while (0)

enum { R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC };

int main(int argc, char **argv) {
  CHECK(argc == 2);
  int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
  TRY(mmap(NULL, PAGE, R | X, MAP_PRIVATE, fd, 0));
  TRY(mmap(NULL, PAGE, R | W | X, MAP_PRIVATE, fd, 0));
  char *area = mmap(NULL, 6 * PAGE, R | W, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mmap(area + PAGE, 2 * PAGE, R | W, MAP_PRIVATE | MAP_FIXED, fd, 0) == area + PAGE);
  char *read_only = mmap(NULL, 2 * PAGE, R, MAP_PRIVATE, fd, 0);
  CHECK(close(fd) == 0);
  area[PAGE] = 'w';
  TRY(mprotect(area + PAGE, PAGE, R | X));
  TRY(mprotect(area + PAGE, PAGE, R | W | X));
  TRY(mprotect(area + PAGE, PAGE, R));
  TRY(mprotect(area + PAGE, PAGE, R | X));
  TRY(syscall(SYS_pkey_mprotect, area + 2 * PAGE, PAGE, R | X, -1));
  TRY(mprotect(area, 6 * PAGE, R | X));
  say("the first page is executable: %d", mprotect(area, PAGE, R | X));
  TRY(mprotect(read_only, PAGE, R | W));
  TRY(mprotect(read_only, PAGE, R | X));
  char *moved = mremap(area + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 5 * PAGE);
  CHECK(moved == area + 5 * PAGE);
  TRY(mprotect(moved, PAGE, R | X));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    TRY(mprotect(area + PAGE, PAGE, R | X));
    fflush(stdout);
    _exit(0);
  }
  say_ending("child", pid);
  /* The place is not marked: what comes there next is. */
  CHECK(munmap(area + PAGE, PAGE) == 0);
  CHECK(mmap(area + PAGE, PAGE, R | W, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == area + PAGE);
  TRY(mprotect(area + PAGE, PAGE, R | X));
  return 0;
}
