// A static that is initialised when its function is first called; one more comes with the change.
//
// before: "7 1"
// after: right "7 1, 9 1"

#include "stage.h"

static volatile int made, made_too;

struct Counter {
  int value;
  explicit Counter(int start, volatile int &count) : value(start) { count = count + 1; }
};

static NOINLINE Counter &old_one() {
  static Counter counter(7, made);
  return counter;
}
#ifdef AFTER
static NOINLINE Counter &new_one() {
  static Counter counter(9, made_too);
  return counter;
}
#endif

void setup(void) { old_one(); }

void look(char *line) {
#ifdef AFTER
  int old_value = old_one().value, new_value = new_one().value;
  sprintf(line, "%d %d, %d %d", old_value, (int)made, new_value, (int)made_too);
#else
  sprintf(line, "%d %d", old_one().value, (int)made);
#endif
}
