// A static variable gets another name.
//
// before: "count 3"
// after: right "count 3 fixed"
// after -DRENAMED: right "count 3 fixed"
// after -DRENAMED -DUSE_CHANGED: refused /counter.*total/
// after -DRENAMED -DRETYPED: refused /counter.*total/
// after -DRENAMED -DUSE_CHANGED --accept state: right "count 1000 fixed"
// after -DREMOVED: right "count -1 fixed"
// after -DADDED: right "count 3 fixed"

#include "stage.h"

#if defined RENAMED && defined RETYPED
static long total;
#define counter total
#elif defined RENAMED
static int total;
#define counter total
#elif !defined REMOVED
static int counter;
#endif
#ifdef ADDED
static int more;
static NOINLINE int use_more(void) { return ++more; }
#endif

#ifdef REMOVED
static NOINLINE int count(int by) { return -1; }
#elif defined USE_CHANGED
static NOINLINE int count(int by) { return counter += by, counter ? (int)counter : 1000; }
#else
static NOINLINE int count(int by) { return counter += by; }
#endif

void setup(void) {
#ifndef REMOVED
  UNKNOWN(counter);
#endif
  count(3);
}

NOINLINE void look(char *line) {
#ifdef ADDED
  use_more();
#endif
#ifdef AFTER
  sprintf(line, "count %d fixed", count(0));
#else
  sprintf(line, "count %d", count(0));
#endif
}
