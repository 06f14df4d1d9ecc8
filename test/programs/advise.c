/* madvise: DONTNEED zeroes anonymous memory and restores private file pages; FREE never keeps new writes from reading. */
#include "check.h"

#define SAY_ADVICE(name, area)                                                                       \
  do {                                                                                               \
    int result = madvise(area, PAGE, name);                                                          \
    say(#name ": %d", result == 0 ? 0 : errno);                                                      \
  } while (0)

int main(void) {
  char *area = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(area, 1, 6 * PAGE);
  CHECK(madvise(area + PAGE, 2 * PAGE, MADV_DONTNEED) == 0);
  say("zeroed: %d, neighbours %d %d", all_zero(area + PAGE, 2 * PAGE), area[PAGE - 1], area[3 * PAGE]);
  area[PAGE] = 5;
  say("usable again: %d", area[PAGE]);
  CHECK(mprotect(area, PAGE, PROT_READ) == 0 && madvise(area, PAGE, MADV_DONTNEED) == 0);
  say("read-only memory is zeroed, too: %d", all_zero(area, PAGE));
  CHECK(madvise(area + 3 * PAGE, PAGE, MADV_FREE) == 0);
  char old = area[3 * PAGE];
  CHECK(old == 0 || old == 1);
  area[3 * PAGE] = 6;
  say("written after FREE: %d", area[3 * PAGE]);
  CHECK(munmap(area + 4 * PAGE, PAGE) == 0);
  say("over a hole: %d", madvise(area + 3 * PAGE, 3 * PAGE, MADV_DONTNEED) == -1 ? errno : 0);
  say("both sides are zeroed: %d %d", area[3 * PAGE], area[5 * PAGE]);
  say("unaligned: %d", madvise(area + 1, PAGE, MADV_DONTNEED) == -1 ? errno : 0);
  say("unknown: %d", madvise(area, PAGE, 7777) == -1 ? errno : 0);
  FILE *file = tmpfile();
  char text[2 * PAGE];
  memset(text, 'f', sizeof text);
  CHECK(write(fileno(file), text, sizeof text) == sizeof text);
  char *mapped = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
  memset(mapped, 'm', 2 * PAGE);
  CHECK(madvise(mapped, PAGE, MADV_DONTNEED) == 0);
  say("a private file page comes back: %c, its neighbour stays: %c", mapped[0], mapped[PAGE]);
  SAY_ADVICE(MADV_NORMAL, area);
  SAY_ADVICE(MADV_SEQUENTIAL, area);
  SAY_ADVICE(MADV_WILLNEED, area);
  SAY_ADVICE(MADV_DONTDUMP, area);
  SAY_ADVICE(MADV_DODUMP, area);
  SAY_ADVICE(MADV_NOHUGEPAGE, area);
  CHECK(mprotect(area, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
  memset(area, 7, 2 * PAGE);
  if (madvise(area, PAGE, MADV_WIPEONFORK) == 0) {
    pid_t pid = fork();
    if (pid == 0) {
      say("wiped in the child: %d, not wiped: %d", all_zero(area, PAGE), area[PAGE]);
      _exit(0);
    }
    say_ending("child", pid);
    say("kept in the parent: %d", area[0]);
  }
  CHECK(madvise(area + PAGE, PAGE, MADV_DONTFORK) == 0);
  pid_t pid = fork();
  if (pid == 0) _exit(*(volatile char *)(area + PAGE));
  say_ending("child without that page", pid);
  say("kept in the parent: %d", area[PAGE]);
  char *again = mmap(area + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK(again == area + PAGE);
  again[0] = 9;
  pid = fork();
  if (pid == 0) _exit(again[0]);
  say_ending("child with a new mapping at that place", pid);
  return 0;
}
