#ifdef ADDED
static const long two __attribute__((section("registry"), used)) = 2;
#endif
int other(void) { return 0; }
