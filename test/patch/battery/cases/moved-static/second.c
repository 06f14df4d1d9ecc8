#include "moved-static.h"

static int other_state;
NOINLINE int other(int by) { return other_state += by; }

#ifdef MOVED
#include "counter.h"
#endif
