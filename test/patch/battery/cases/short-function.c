// Functions shorter than a jump: compilers align the next one, and the padding between never runs.
//
// before: "1"
// after: right "2 called"
// only: -O2

#include "stage.h"

static volatile int calls;

#ifdef AFTER
NOINLINE void nothing(void) { calls++; }
NOINLINE int nothing_too(void) { return calls > 0 ? 2 : 0; }
#else
NOINLINE void nothing(void) { asm volatile(""); }
NOINLINE int nothing_too(void) { asm volatile(""); return 0; }
#endif

void setup(void) {}

void look(char *line) {
  nothing();
  int seen = nothing_too();
#ifdef AFTER
  sprintf(line, "%d %s", seen, calls > 0 ? "called" : "not called");
#else
  sprintf(line, "%d", seen + 1);
#endif
}
