/* mprotect takes and gives rights page by page, keeps the content, and a violation faults. */
#include <setjmp.h>
#include "check.h"

static sigjmp_buf escape;
static void handler(int unused) { (void)unused, siglongjmp(escape, 1); }

static char probe(volatile char *where) {
  if (sigsetjmp(escape, 1) != 0) return '-';
  char value = *where;
  if (sigsetjmp(escape, 1) != 0) return 'r';
  *where = value;
  return 'w';
}
static void show(const char *who, char *area) {
  printf("%s: ", who);
  for (int i = 0; i < 6; i++) putchar(probe(area + i * PAGE));
  say(" ");
}

int main(void) {
  signal(SIGSEGV, handler);
  char *area = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 6; i++) area[i * PAGE + 9] = i + 1;
  CHECK(mprotect(area + PAGE, 2 * PAGE, PROT_NONE) == 0);
  show("middle taken", area);
  CHECK(mprotect(area + 2 * PAGE, 2 * PAGE, PROT_READ) == 0);
  show("read only", area);
  char *first = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mprotect(first + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
  first[2 * PAGE] = 5;
  show("given in a reservation", first);
  CHECK(mprotect(area, 6 * PAGE, PROT_READ | PROT_WRITE) == 0);
  for (int i = 0; i < 6; i++) CHECK(area[i * PAGE + 9] == i + 1);
  show("all given back", area);
  CHECK(munmap(area + 3 * PAGE, PAGE) == 0);
  say("over a hole: %d", mprotect(area, 6 * PAGE, PROT_READ) == -1 ? errno : 0);
  show("up to the hole", area);
  say("unaligned: %d", mprotect(area + 5, PAGE, PROT_READ) == -1 ? errno : 0);
  say("write only reads: %d", mprotect(area, PAGE, PROT_WRITE) == 0 && area[9] == 1);
  return 0;
}
