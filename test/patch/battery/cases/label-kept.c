// The address of a label is kept in memory (a coroutine of labels), and the function changes.
//
// before: "step 10"
// after: refused /run: .*label/

#include "stage.h"

static void *resume;

#ifdef AFTER
#define STEP 11
#else
#define STEP 10
#endif

NOINLINE int run(void) {
  if (resume) goto *resume;
  resume = &&again;
  return 0;
again:
  return STEP;
}

void setup(void) { run(); }

NOINLINE void look(char *line) { sprintf(line, "step %d", run()); }
