// A class local to a function that the old program does not have, in a vector of its own.
//
// before: "sum 0"
// after: right "sum 60"

#include <vector>
#include "stage.h"

#ifdef AFTER
NOINLINE int sum_of(int n) {
  struct entry {
    long key;
    int value;
    int padding[7];
  };
  std::vector<entry> entries;
  for (int i = 0; i < n; i++) entries.push_back(entry{i, i * 10, {}});
  int sum = 0;
  for (const entry &each : entries) sum += each.value;
  return sum;
}
#endif

void setup(void) {
  std::vector<int> used(3);
  if (used.size() != 3) abort();
}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "sum %d", sum_of(4));
#else
  sprintf(line, "sum %d", 0);
#endif
}
