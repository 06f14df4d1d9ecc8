// A static variable and the function that uses it move to another file.
//
// before: "count 3, other 0"
// after: right "count 3, other 0 fixed"
// after -DMOVED: right "count 3, other 0 fixed"
// after -DMOVED -DCHANGED: right "count 3, other 0 fixed"
// after -DMOVED -DRETYPED: refused /counter/

#include "moved-static.h"

#ifndef MOVED
#include "counter.h"
#endif

void setup(void) { count(3); }

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "count %d, other %d fixed", count(0), other(0));
#else
  sprintf(line, "count %d, other %d", count(0), other(0));
#endif
}
