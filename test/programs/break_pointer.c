/* brk and sbrk grow and shrink; what was given back is zero when it comes again. */
#include "check.h"

int main(void) {
  char *start = sbrk(0);
  CHECK(sbrk(100000) == start);
  CHECK(all_zero(start, 100000));
  memset(start, 1, 100000);
  CHECK(brk(start + 10) == 0 && sbrk(0) == start + 10);
  CHECK(start[9] == 1);
  CHECK(brk(start + 300000) == 0);
  char *next = (char *)(((uintptr_t)start + 10 + PAGE - 1) & ~(PAGE - 1));
  CHECK(all_zero(next, start + 300000 - next));
  say("regrown memory is zero; the shared page keeps %d %d", start[9], start[11]);
  memset(start, 2, 300000);
  CHECK(brk(start) == 0 && brk(start + (64 << 20)) == 0);
  next = (char *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));
  CHECK(all_zero(next, (64 << 20) - PAGE));
  void *refused = (void *)syscall(SYS_brk, (void *)(1L << 46));
  say("refused growth leaves the break: %d", refused == start + (64 << 20));
  say("below the start: %d", syscall(SYS_brk, (void *)PAGE) == (long)start + (64 << 20));
  say("query: %d", syscall(SYS_brk, 0) == (long)start + (64 << 20));
  pid_t pid = fork();
  if (pid == 0) {
    start[1000] = 7;
    CHECK(brk(start + PAGE) == 0 && sbrk(PAGE) == start + PAGE);
    _exit(0);
  }
  say_ending("child with its own break", pid);
  say("unchanged: %d %d", start[1000], sbrk(0) == start + (64 << 20));
  return 0;
}
