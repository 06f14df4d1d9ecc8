// clang makes several variables of the members of one, which are numbered; no other one is meant by the number.
//
// before: "a 1 c 3"
// after: right "a 1 c 3 fixed"
// after -DRETYPED: refused /kept.* its layout changed|struct wide .*its layout changed/
// only: clang -O2

#include "stage.h"

struct wide {
#ifdef RETYPED
  unsigned long a;
#else
  long a;
#endif
  long b, c;
};
static struct wide kept;

NOINLINE void fill(long a, long b, long c) {
  kept.a = a;
  kept.b = b;
  kept.c = c;
}

static NOINLINE long first(void) { return kept.a; }
static NOINLINE long last(void) { return kept.b + kept.c; }

void setup(void) { fill(1, 0, 3); }

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "a %ld c %ld fixed", first(), last() + 0 * kept.a);
#else
  sprintf(line, "a %ld c %ld", first(), last());
#endif
}
