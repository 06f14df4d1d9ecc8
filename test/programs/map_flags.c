/* MAP_32BIT, MAP_POPULATE, MAP_NORESERVE, MAP_STACK, MAP_HUGETLB, MAP_LOCKED and MAP_GROWSDOWN. */
#include "check.h"

static char *map(size_t length, int flags) {
  return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

int main(void) {
  for (int i = 0; i < 20; i++) {
    char *low = map(16 * PAGE, MAP_32BIT);
    CHECK(low != MAP_FAILED && (uintptr_t)low + 16 * PAGE <= 1UL << 31);
    low[15 * PAGE] = 1;
  }
  say("MAP_32BIT is low");
  char *populated = map(64 * PAGE, MAP_POPULATE);
  unsigned char resident[64];
  CHECK(mincore(populated, 64 * PAGE, resident) == 0);
  int count = 0;
  for (int i = 0; i < 64; i++) count += resident[i] & 1;
  say("MAP_POPULATE: %d resident", count);
  char *lazy = map(64 * PAGE, MAP_NORESERVE | MAP_STACK);
  lazy[0] = 1;
  say("MAP_NORESERVE|MAP_STACK: %d", lazy[0]);
  char *huge = map(2 << 20, MAP_HUGETLB);
  if (huge == MAP_FAILED) say("MAP_HUGETLB: errno %d", errno);
  else say("MAP_HUGETLB works");
  char *locked = map(4 * PAGE, MAP_LOCKED);
  CHECK(locked != MAP_FAILED && all_zero(locked, 4 * PAGE));
  say("MAP_LOCKED works");
  char *stack = map(4 * PAGE, MAP_GROWSDOWN);
  CHECK(stack != MAP_FAILED);
  stack[3 * PAGE] = stack[0] = 2;
  say("MAP_GROWSDOWN: %d %d", stack[0], stack[3 * PAGE]);
  return 0;
}
