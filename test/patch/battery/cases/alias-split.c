// Two names of one function or variable become two things, or the other way round.
//
// before: "1 1 3, 5 5"
// after -DSPLIT: refused /second/
// after -DSPLIT_DATA: refused /other/
// after -DMERGE: refused /third/
// after -DADDED: right "1 1 3 1, 5 5"

#include "stage.h"

NOINLINE int first(void) { asm volatile(""); return 1; }
#ifdef MERGE
int third(void) __attribute__((alias("first")));
#else
NOINLINE int third(void) { asm volatile("" ::: "memory"); return 3; }
#endif
#ifdef SPLIT
NOINLINE int second(void) { asm volatile(""); return 2; }
#else
int second(void) __attribute__((alias("first")));
#endif
int one = 5;
#ifdef SPLIT_DATA
int other = 5;
NOINLINE int changed(void) { asm volatile(""); return 10; }
#else
extern int other __attribute__((alias("one")));
NOINLINE int changed(void) { asm volatile(""); return 9; }
#endif
#ifdef ADDED
int fourth(void) __attribute__((alias("first")));
#endif

void setup(void) {}

static int (*volatile call)(void) = first;

void look(char *line) {
#ifdef ADDED
  sprintf(line, "%d %d %d %d, %d %d", first(), second(), third(), fourth(), one, other);
#else
  sprintf(line, "%d %d %d, %d %d", first(), second(), third(), one, other);
#endif
}
