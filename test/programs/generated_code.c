/* Code written at run time runs: with write and execute at once, in turns, doubly mapped, and after a change. */
#include "check.h"

static void emit(unsigned char *where, int value) {
  where[0] = 0xb8; /* mov $value,%eax; ret */
  memcpy(where + 1, &value, 4);
  where[5] = 0xc3;
}

static int call(void *where) { return ((int (*)(void))where)(); }

int main(void) {
  unsigned char *both = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(both != MAP_FAILED);
  emit(both, 11);
  say("writable and executable: %d", call(both));
  emit(both, 12);
  say("changed: %d", call(both));
  unsigned char *turns = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 5; i++) {
    emit(turns + PAGE, 20 + i);
    CHECK(mprotect(turns + PAGE, PAGE, PROT_READ | PROT_EXEC) == 0);
    say("in turns: %d", call(turns + PAGE));
    CHECK(mprotect(turns + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
  }
  int fd = memfd_create("code", MFD_CLOEXEC);
  CHECK(ftruncate(fd, PAGE) == 0);
  unsigned char *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void *executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  CHECK(executable != MAP_FAILED);
  emit(writable, 31);
  say("doubly mapped: %d", call(executable));
  unsigned char *self = (unsigned char *)((uintptr_t)call & ~(PAGE - 1));
  CHECK(mprotect(self, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  unsigned char first = *(volatile unsigned char *)call;
  *(volatile unsigned char *)call = first;
  CHECK(mprotect(self, 2 * PAGE, PROT_READ | PROT_EXEC) == 0);
  say("own code rewritten: %d", call(executable));
  return 0;
}
