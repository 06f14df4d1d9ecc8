// A function that the program only asked for, weakly, is defined by the change; so is one that it took from a library.
//
// before: "no hook, 7"
// after -DHOOK: right "hook 4, 7"
// after -DSHADOW: right "no hook, 70" or refused /labs/
// after -DALLOCATOR: refused /malloc: .*librar/

#include "stage.h"

int hook(int) __attribute__((weak));
static volatile long seven = -7;

#ifdef HOOK
int hook(int x) { return x + 1; }
#endif
#ifdef SHADOW
long labs(long x) { return x * -10; }
#endif
#ifdef ALLOCATOR
void *malloc(size_t size) { return calloc(size, 2); }
#endif

void setup(void) {}

#pragma GCC optimize("no-builtin")
void look(char *line) {
  if (hook) sprintf(line, "hook %d, ", hook(3));
  else strcpy(line, "no hook, ");
  sprintf(line + strlen(line), "%d", (int)labs(seven));
}
