/*
 * maps END: a thread that maps, uses and unmaps memory all the while. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

int main(int argc, char **argv) {
  CHECK(argc == 2);
  say("ready");
  while (access(argv[1], F_OK) != 0) {
    for (int pages = 1; pages <= 8; pages++) {
      char *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      CHECK(area != MAP_FAILED && all_zero(area, pages * PAGE));
      memset(area, pages, pages * PAGE);
      area = mremap(area, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE);
      CHECK(area != MAP_FAILED && area[pages * PAGE - 1] == pages && all_zero(area + pages * PAGE, pages * PAGE));
      CHECK(mprotect(area, PAGE, PROT_READ) == 0 && munmap(area, 2 * pages * PAGE) == 0);
    }
  }
  say("all right");
  return 0;
}
