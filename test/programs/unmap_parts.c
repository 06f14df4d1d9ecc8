/* Heads, tails and middles are unmapped; what remains keeps its content; a thousand times, as allocators do it. */
#include "check.h"

int main(void) {
  unsigned seed = 1;
  char *kept[64] = {0};
  for (int i = 0; i < 1000; i++) {
    size_t alignment = 1UL << 20;
    char *wide = mmap(NULL, 2 * alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(wide != MAP_FAILED);
    char *aligned = (char *)(((uintptr_t)wide + alignment - 1) & ~(alignment - 1));
    if (aligned > wide) CHECK(munmap(wide, aligned - wide) == 0);
    if (aligned + alignment < wide + 2 * alignment)
      CHECK(munmap(aligned + alignment, wide + 2 * alignment - aligned - alignment) == 0);
    CHECK(aligned[0] == 0 && aligned[alignment - 1] == 0 && aligned[alignment / 2] == 0);
    aligned[0] = aligned[alignment - 1] = aligned[alignment / 2] = (char)(i % 100 + 1);
    int slot = (seed = seed * 1103515245 + 12345) >> 16 & 63;
    if (kept[slot]) {
      CHECK(kept[slot][0] != 0 && kept[slot][0] == kept[slot][alignment - 1]);
      CHECK(kept[slot][0] == kept[slot][alignment / 2]);
      CHECK(munmap(kept[slot], alignment / 2) == 0 && munmap(kept[slot] + alignment / 2, alignment / 2) == 0);
    }
    kept[slot] = aligned;
  }
  char *row = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 5; i++) row[i * PAGE] = i + 1;
  CHECK(munmap(row + PAGE, PAGE) == 0 && munmap(row + 3 * PAGE, PAGE) == 0);
  say("what remains: %d %d %d", row[0], row[2 * PAGE], row[4 * PAGE]);
  CHECK(munmap(row, 5 * PAGE) == 0);
  return 0;
}
