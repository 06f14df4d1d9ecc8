// The linker bounds a section: a new entry would lie outside of its bounds.
//
// before: "entries 3"
// after: right "entries 3 fixed"
// after -DADDED: refused /registry/
// after -DREMOVED: refused /registry/
// after -DEDITED: refused /registry/

#include "stage.h"

struct entry { const char *name; long value; };
extern const struct entry __start_registry[], __stop_registry[];

#define REGISTER(name, value) \
  static const struct entry entry_##name __attribute__((section("registry"), used, aligned(8))) = {#name, value}
REGISTER(one, 1);
#ifdef EDITED
REGISTER(two, 22);
#elif !defined REMOVED
REGISTER(two, 2);
#endif
#ifdef ADDED
REGISTER(four, 4);
#endif

static NOINLINE int sum(void) {
  int sum = 0;
  for (const struct entry *each = __start_registry; each < __stop_registry; each++) sum += each->value;
  return sum;
}

void setup(void) {}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "entries %d fixed", sum());
#else
  sprintf(line, "entries %d", sum());
#endif
}
