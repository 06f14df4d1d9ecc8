#ifdef RETYPED
static long counter;
#else
static int counter;
#endif
#ifdef CHANGED
NOINLINE int count(int by) { return by ? (counter += by) : counter; }
#else
NOINLINE int count(int by) { return counter += by; }
#endif
