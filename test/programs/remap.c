/* mremap grows in place, moves, shrinks, places at a fixed address and leaves the old mapping behind. */
#include "check.h"
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static char *fresh(size_t pages) {
  char *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  for (size_t i = 0; i < pages; i++) memset(area + i * PAGE, (int)i + 1, PAGE);
  return area;
}
static void show(const char *who, const char *area, int pages) {
  printf("%s:", who);
  for (int i = 0; i < pages; i++) printf(" %d", area[i * PAGE + 17]);
  say(" ");
}

int main(void) {
  char *area = fresh(4);
  CHECK(mremap(area, 4 * PAGE, 2 * PAGE, 0) == area);
  char *grown = mremap(area, 2 * PAGE, 4 * PAGE, 0);
  say("grown in place: %d", grown == area);
  show("the new part is zero", area, grown == area ? 4 : 2);
  area = fresh(3);
  char *blocker = mmap(area + 3 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  (void)blocker;
  say("cannot grow in place: %d", mremap(area, 3 * PAGE, 9 * PAGE, 0) == MAP_FAILED ? errno : 0);
  char *moved = mremap(area, 3 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
  CHECK(moved != MAP_FAILED && moved != area);
  show("moved", moved, 9);
  moved[8 * PAGE] = 99;
  char *target = fresh(12);
  CHECK(mremap(moved, 9 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + 2 * PAGE) == target + 2 * PAGE);
  show("fixed over another", target, 12);
  area = fresh(2);
  char *left = mremap(area, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  if (left == MAP_FAILED) {
    say("DONTUNMAP: errno %d", errno);
  } else {
    show("DONTUNMAP new", left, 2);
    show("DONTUNMAP old", area, 2);
  }
  say("unmapped source: %d", mremap((void *)0x10000, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0);
  say("unaligned source: %d", mremap(target + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0);
  say("zero length: %d", mremap(target, PAGE, 0, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0);
  size_t length = 64 << 20;
  char *large = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < length; i += 1 << 20) large[i] = (char)(i >> 20);
  large = mremap(large, length, 2 * length, MREMAP_MAYMOVE);
  CHECK(large != MAP_FAILED);
  for (size_t i = 0; i < length; i += 1 << 20) CHECK(large[i] == (char)(i >> 20));
  large[2 * length - 1] = 1;
  CHECK(mremap(large, 2 * length, PAGE, 0) == large && large[0] == 0);
  char *string = malloc(200000);
  memset(string, 'a', 200000);
  for (int i = 0; i < 12; i++) {
    string = realloc(string, 200000UL << i);
    CHECK(string[0] == 'a' && string[199999] == 'a');
  }
  free(string);
  char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  strcpy(shared, "shared");
  char *twice = mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE);
  if (twice == MAP_FAILED) {
    say("duplicate of shared memory: errno %d", errno);
  } else {
    twice[0] = 'S';
    say("duplicate of shared memory: %s", shared);
  }
  return 0;
}
