// The file of a static variable gets another name.
//
// before: "count 3"
// after: right "count 3 fixed"
// after -DCHANGED: right "count 4 fixed" or refused /counter/

#include "stage.h"
int count(int by);

void setup(void) { count(3); }

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "count %d fixed", count(0));
#else
  sprintf(line, "count %d", count(0));
#endif
}
