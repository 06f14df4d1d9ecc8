// The linker gave two functions of one content one address: to patch one would change the other.
//
// before: "one 4 two 4"
// after: refused /one.*two|two.*one/
// after -DOTHER: right "one 4 two 4 fixed"
// link: -fuse-ld=lld -Wl,--icf=all
// needs: ld.lld

#include "stage.h"

#if defined AFTER && !defined OTHER
NOINLINE int one(int x) { return x * 3 + 2; }
#else
NOINLINE int one(int x) { return x * 3 + 1; }
#endif
NOINLINE int two(int x) { return x * 3 + 1; }

void setup(void) {}

NOINLINE void look(char *line) {
#ifdef OTHER
  sprintf(line, "one %d two %d fixed", one(1), two(1));
#else
  sprintf(line, "one %d two %d", one(1), two(1));
#endif
}
