// Static, hidden and thread-local things in an executable that was linked with -Wl,--gc-sections.
//
// before: "15 6, 101"
// after: right "17 8, 102"
// link: -Wl,--gc-sections

#include "stage.h"

static volatile int count = 5;
__attribute__((visibility("hidden"))) int hidden_count = 1;
static __thread int mine = 100;
static const char *const unused = "unused";
static NOINLINE int dropped(int x) { return x * 77; }
NOINLINE int dropped_too(int x) { return dropped(x); }

#ifdef AFTER
#define STEP 2
#else
#define STEP 0
#endif
static NOINLINE int private_one(int x) { return x + count + STEP; }
__attribute__((visibility("hidden"))) NOINLINE int hidden_one(int x) { return x + count + STEP; }
static NOINLINE int unchanged(int x) { return x * 2; }

void setup(void) {}

void look(char *line) {
  mine = 101 + STEP / 2;
  sprintf(line, "%d %d, %d", private_one(unchanged(5)), hidden_one(hidden_count), mine);
}
