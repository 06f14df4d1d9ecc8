/* What is more than the machine has is refused at once, where it would be accounted (vm.overcommit_memory 0). */
#include <sys/sysinfo.h>
#include "check.h"

static size_t whole;

static char *map(size_t length, int protection, int flags) {
  char *area = mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return area == MAP_FAILED ? NULL : area;
}

static void unmap(char *area, size_t length) {
  if (area) CHECK(munmap(area, length) == 0);
}

#define SAY(what, call)                                              \
  do {                                                               \
    errno = 0;                                                       \
    int done = (call) != 0;                                          \
    say("%s: %s %d", what, done ? "done" : "refused", done ? 0 : errno); \
  } while (0)

int main(void) {
  struct sysinfo info;
  CHECK(sysinfo(&info) == 0);
  whole = ((info.totalram + info.totalswap) * info.mem_unit / PAGE + 262144) * PAGE;
  char *area, *grown;
  SAY("writable", area = map(whole, PROT_READ | PROT_WRITE, 0));
  unmap(area, whole);
  SAY("without reservation", area = map(whole, PROT_READ | PROT_WRITE, MAP_NORESERVE));
  unmap(area, whole);
  SAY("read-only", area = map(whole, PROT_READ, 0));
  unmap(area, whole);
  SAY("malloc", malloc(whole));
  char *kept = map(4 * PAGE, PROT_READ | PROT_WRITE, 0);
  memset(kept, 'k', 4 * PAGE);
  SAY("over something", mmap(kept, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
  say("which stays: %c", kept[3 * PAGE]);
  SAY("inaccessible", area = map(whole, PROT_NONE, 0));
  SAY("made writable", mprotect(area, whole, PROT_READ | PROT_WRITE) == 0);
  SAY("half of it", mprotect(area, whole / 2, PROT_READ | PROT_WRITE) == 0);
  unmap(area, whole);
  area = map(whole, PROT_NONE, MAP_NORESERVE);
  SAY("made writable without reservation", mprotect(area, whole, PROT_READ | PROT_WRITE) == 0);
  unmap(area, whole);
  SAY("grown", (grown = mremap(kept, 4 * PAGE, whole, MREMAP_MAYMOVE)) != MAP_FAILED);
  char *end = sbrk(0);
  say("the break: %d", (char *)syscall(SYS_brk, end + whole) == end);
  return 0;
}
