static int counter;
#ifdef CHANGED
NOINLINE int count(int by) { return by ? (counter += by) : counter; }
#else
NOINLINE int count(int by) { return counter += by; }
#endif
