// Functions that the linker has folded into one: a jump in one of them is a jump in all.
//
// before: "3 3"
// after: refused /one.*other|other.*one/
// link: -fuse-ld=gold -Wl,--icf=all
// needs: ld.gold

#include "stage.h"

static volatile int three = 3;
#ifdef AFTER
NOINLINE int one(void) { return three + 1; }
#else
NOINLINE int one(void) { return three; }
#endif
NOINLINE int other(void) { return three; }

void setup(void) {}

void look(char *line) { sprintf(line, "%d %d", one(), other()); }
