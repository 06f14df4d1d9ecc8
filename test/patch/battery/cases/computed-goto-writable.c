// Labels as values, in a table that can be written to.
//
// before: "10 20 30"
// after: refused /table.* inside run/

#include "stage.h"

#ifdef AFTER
#define STEP 11
#else
#define STEP 10
#endif

NOINLINE int run(int which) {
  static void *table[] = {&&one, &&two, &&three};
  UNKNOWN(table);
  goto *table[which];
one:
  return STEP;
two:
  return STEP + 10;
three:
  return STEP + 20;
}

void setup(void) {}

NOINLINE void look(char *line) { sprintf(line, "%d %d %d", run(0), run(1), run(2)); }
