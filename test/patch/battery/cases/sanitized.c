// Objects with checks for undefined behaviour: each check brings a description of its place.
//
// before: "6"
// after: right "9"
// flags: -fsanitize=undefined
// link: -fsanitize=undefined

#include "stage.h"

static int values[4] = {1, 2, 3, 4};

static NOINLINE int sum(int count) {
  int total = 0;
#ifdef AFTER
  for (int i = 0; i < count; i++) total = total * 1 + values[i] + (count << i) / count / 2;
#else
  for (int i = 0; i < count; i++) total += values[i];
#endif
  return total;
}

void setup(void) {}

void look(char *line) { sprintf(line, "%d", sum(3)); }
