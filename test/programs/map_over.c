/* New mappings are zero: after munmap at the same place, by MAP_FIXED over old content, and over half of it. */
#include "check.h"

static char *map(void *where, size_t length, int flags) {
  char *result = mmap(where, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return result == MAP_FAILED ? NULL : result;
}

int main(void) {
  char *area = map(NULL, 8 * PAGE, 0);
  memset(area, 1, 8 * PAGE);
  CHECK(map(area + 2 * PAGE, 2 * PAGE, MAP_FIXED) == area + 2 * PAGE);
  say("replaced: %d, neighbours %d %d", all_zero(area + 2 * PAGE, 2 * PAGE), area[2 * PAGE - 1], area[4 * PAGE]);
  memset(area, 2, 8 * PAGE);
  CHECK(munmap(area + PAGE, PAGE) == 0 && map(area + PAGE, PAGE, MAP_FIXED) == area + PAGE);
  say("unmapped and mapped: %d", all_zero(area + PAGE, PAGE));
  CHECK(munmap(area, 8 * PAGE) == 0 && map(area, 8 * PAGE, MAP_FIXED_NOREPLACE) == area);
  say("all again: %d", all_zero(area, 8 * PAGE));
  say("no replace: %s", map(area + PAGE, PAGE, MAP_FIXED_NOREPLACE) == NULL && errno == EEXIST ? "EEXIST" : "?");
  CHECK(munmap(area + 3 * PAGE, PAGE) == 0);
  say("unmapping a hole: %d", munmap(area + 3 * PAGE, PAGE));
  CHECK(map(area + 3 * PAGE, PAGE, 0) == area + 3 * PAGE);
  say("the hint is honoured: %d", all_zero(area + 3 * PAGE, PAGE));
  say("unaligned hint: %d", ((uintptr_t)map((void *)(0x10000000UL + 123), PAGE, 0) & (PAGE - 1)) == 0);
  errno = 0;
  say("zero length: %d", map(NULL, 0, 0) == NULL ? errno : 0);
  say("unaligned unmap: %d", munmap(area + 1, PAGE) == -1 ? errno : 0);
  say("unaligned fixed: %d", map(area + 1, PAGE, MAP_FIXED) == NULL ? errno : 0);
  say("too large: %d", map(NULL, 1UL << 47, 0) == NULL ? errno : 0);
  say("no type: %d", mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0);
  say("bad descriptor: %d", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED ? errno : 0);
  int readable = open("/proc/self/exe", O_RDONLY);
  say("shared writable of a read-only file: %d",
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, readable, 0) == MAP_FAILED ? errno : 0);
  say("unaligned offset: %d", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, readable, 100) == MAP_FAILED ? errno : 0);
  int writable = open("/dev/null", O_WRONLY);
  say("unmappable: %d", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, writable, 0) == MAP_FAILED ? errno : 0);
  char *zero = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0);
  CHECK(zero != MAP_FAILED && all_zero(zero, 2 * PAGE));
  zero[5] = 1;
  say("/dev/zero is writable memory: %d", zero[5]);
  return 0;
}
