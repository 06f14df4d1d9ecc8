// C++ exceptions thrown in, caught in, and passing through patched functions, with a destructor on the way.
//
// before: "caught 1, gone 1, long"
// after: right "caught 2, gone 1, short"

#include "stage.h"

static volatile int gone;
struct Guard { ~Guard() { gone = gone + 1; } };

static NOINLINE int thrower(int x) {
  if (x >= 0) throw x;
  return x;
}
#ifdef AFTER
static NOINLINE int passes(int x) { Guard guard; return thrower(x + 1) + 1; }
#else
static NOINLINE int passes(int x) { Guard guard; return thrower(x) + 1; }
#endif
static NOINLINE int catches(int x) {
  try { return passes(x); } catch (int value) { return value; }
}
static NOINLINE const char *kind(int x) {
#ifdef AFTER
  try { if (x) throw (short)x; } catch (long) { return "long"; } catch (short) { return "short"; }
#else
  try { if (x) throw (long)x; } catch (long) { return "long"; } catch (short) { return "short"; }
#endif
  return "none";
}

void setup(void) {}

void look(char *line) {
  gone = 0;
  int caught = catches(1);
  sprintf(line, "caught %d, gone %d, %s", caught, (int)gone, kind(1));
}
