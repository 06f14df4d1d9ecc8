// The linker bounds a section, and the new entry is in a file that had none.
//
// before: "entries 1"
// after: right "entries 1 fixed"
// after -DADDED: refused /registry/

#include "stage.h"
int other(void);

extern const long __start_registry[], __stop_registry[];
static const long one __attribute__((section("registry"), used)) = 1;

static NOINLINE int count(void) { return (int)(__stop_registry - __start_registry); }

void setup(void) {}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "entries %d fixed", count() + other());
#else
  sprintf(line, "entries %d", count() + other());
#endif
}
