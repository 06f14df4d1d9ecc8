// The simplest change there is: a constant in a function.
//
// before: "calls stay, answer 1"
// after: right "calls stay, answer 2"

#include "stage.h"

static int calls;

#ifdef AFTER
static NOINLINE int answer(void) { return calls > 0 ? 2 : 0; }
#else
static NOINLINE int answer(void) { return calls > 0 ? 1 : 0; }
#endif

void setup(void) { calls = 1; }

void look(char *line) { sprintf(line, "calls stay, answer %d", answer()); }
