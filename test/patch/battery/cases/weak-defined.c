// A function that the program only asked for, weakly, is defined by the change; so is one that it took from a library.
//
// before: "no hook, 7"
// after -DHOOK: right "hook 4, 7"
// after -DSHADOW: right "no hook, 70"

#include "stage.h"

int hook(int) __attribute__((weak));
static const char *volatile seven = "5";

#ifdef HOOK
int hook(int x) { return x + 1; }
#endif
#ifdef SHADOW
long a64l(const char *text) { return text[0] == '5' ? 70 : 0; }
#endif

void setup(void) {}

void look(char *line) {
  if (hook) sprintf(line, "hook %d, ", hook(3));
  else strcpy(line, "no hook, ");
  sprintf(line + strlen(line), "%d", (int)a64l(seven));
}
