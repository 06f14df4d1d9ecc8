// backtrace(3) from below a patched function sees all of its callers.
//
// before: "6 frames"
// after: right "7 frames, all"
// link: -rdynamic

#include "stage.h"
#include <execinfo.h>

static void *frames[64];
NOINLINE int depth(void) { return backtrace(frames, 64); }
#ifdef AFTER
NOINLINE int inner(void) { int n = depth(); asm volatile("" ::: "memory"); return n; }
NOINLINE int middle(void) { int n = inner(); asm volatile("" ::: "memory"); return n; }
NOINLINE int outer(void) { int n = middle(); asm volatile("nop" ::: "memory"); return n; }
#else
NOINLINE int middle(void) { int n = depth(); asm volatile("" ::: "memory"); return n; }
NOINLINE int outer(void) { int n = middle(); asm volatile("" ::: "memory"); return n; }
#endif

static int expected;
void setup(void) { depth(); }

void look(char *line) {
  int n = outer();
  // The main thread has two callers more than the others: main and the C library's start.
#ifdef AFTER
  sprintf(line, "%d frames, %s", n >= 7 ? 7 : n, n >= 7 ? "all" : "cut");
#else
  sprintf(line, "%d frames", n >= 6 ? 6 : n);
#endif
}
