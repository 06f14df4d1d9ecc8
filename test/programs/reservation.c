/* Terabytes of PROT_NONE address space are reserved, and pieces of it are put to use and given back. */
#include "check.h"

#define TERABYTE (1UL << 40)

int main(void) {
  char *areas[2];
  for (int i = 0; i < 2; i++) {
    areas[i] = mmap(NULL, 8 * TERABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(areas[i] != MAP_FAILED);
  }
  for (unsigned long i = 0; i < 8; i++) {
    char *piece = areas[i & 1] + i * TERABYTE + i * 7 * PAGE;
    CHECK(mprotect(piece, 1 << 20, PROT_READ | PROT_WRITE) == 0);
    CHECK(all_zero(piece, 1 << 20));
    memset(piece, (int)i + 1, 1 << 20);
    CHECK(piece[(1 << 20) - 1] == (char)(i + 1));
  }
  char *piece = areas[0] + 100 * PAGE;
  CHECK(mmap(piece, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == piece);
  piece[PAGE] = 1;
  CHECK(mmap(piece, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == piece);
  CHECK(mprotect(piece, 3 * PAGE, PROT_READ) == 0 && piece[PAGE] == 0);
  say("pieces work, and are zero when used again");
  CHECK(madvise(areas[1], 8 * TERABYTE, MADV_DONTNEED) == 0);
  say("dropped: %d", areas[1][TERABYTE + 7 * PAGE]);
  CHECK(munmap(areas[0], 4 * TERABYTE) == 0 && munmap(areas[0] + 4 * TERABYTE, 4 * TERABYTE) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(munmap(areas[1], 8 * TERABYTE) == 0);
    _exit(0);
  }
  say_ending("child", pid);
  return 0;
}
