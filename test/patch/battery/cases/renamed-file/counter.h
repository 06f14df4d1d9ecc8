#include "stage.h"
static int counter;
static NOINLINE int raise(int by) { return counter += by; }
#ifdef CHANGED
NOINLINE int count(int by) { return raise(by) + 1; }
#else
NOINLINE int count(int by) { return raise(by); }
#endif
