// Lambdas have numbers for names, and closures of them are kept.
//
// before: "one 1 two 2"
// after: right "one 1 two 2 fixed"
// after -DEDITED: right "one 1 two 3 fixed"
// after -DINSERTED: refused /lambda/
// after -DREMOVED: refused /lambda/
// after -DSWAPPED: right "one 1 two 2 fixed" or refused /lambda/
// after -DCAPTURE: refused /its layout changed/
// after -DAPPENDED: right "one 1 two 2 fixed"

#include <functional>
#include "stage.h"

static std::function<int()> kept_one, kept_two;

NOINLINE void keep(std::function<int()> one, std::function<int()> two) {
  kept_one = one;
  kept_two = two;
}

NOINLINE void make(int a, int b) {
#ifdef INSERTED
  std::function<int()> fresh = [a, b] { return a * 100 + b; };
  if (fresh() < 0) return;
#endif
#ifdef SWAPPED
  auto two = [b] { return b - 5; };
  auto one = [a] { return a; };
#else
#ifdef REMOVED
  std::function<int()> one;
#elif defined CAPTURE
  auto one = [b, a] { return a + 0 * b; };
#else
  auto one = [a] { return a; };
#endif
#ifdef EDITED
  auto two = [b] { return b - 4; };
#else
  auto two = [b] { return b - 5; };
#endif
#endif
#ifdef APPENDED
  auto last = [a, b] { return a - b; };
  if (last() == 12345) return;
#endif
  keep(one, two);
}

void setup(void) { make(1, 7); }

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "one %d two %d fixed", kept_one ? kept_one() : 0, kept_two());
#else
  sprintf(line, "one %d two %d", kept_one(), kept_two());
#endif
}
