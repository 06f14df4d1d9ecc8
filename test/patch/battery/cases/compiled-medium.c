// Objects that were compiled with -mcmodel=medium.
//
// before: "11 first 1.5 300, 3"
// after: right "13 second 2.5 301, 3 4 ad"
// flags: -mcmodel=medium

#include "stage.h"

static int count = 5;
int large[100000] = {1};
static int zeroed[100000];
static const char *const names[] = {"first", "second"};
static NOINLINE int unchanged(int x) { return x * 2; }
static NOINLINE const char *name(int i) { return names[i]; }
static NOINLINE int choose(int x) {
  switch (x) {
    case 0: return zeroed[7]; case 1: return count; case 2: return 300; case 3: return strlen(names[0]); case 4: return -1;
    case 5: return large[0]; case 6: return 99;
    default: return 0;
  }
}

#ifdef AFTER
static int fresh[100] = {4};
static int blank[3];
static NOINLINE int added(int x) { blank[1]++; return fresh[x]; }
static NOINLINE int changed(int x) { return x + unchanged(4) + count - 1; }
static NOINLINE double fraction(int x) { return x + 1.5; }
void look(char *line) {
  int (*volatile call)(int) = added;
  sprintf(line, "%d %s %.1f %d, %d", changed(1), name(1), fraction(1), choose(2) + large[0], zeroed[99999] + 3);
  sprintf(line + strlen(line), " %d", call(0));
  strcat(line, " ad");
}
#else
static NOINLINE int changed(int x) { return x + unchanged(4) + count - 3; }
static NOINLINE double fraction(int x) { return x + 0.5; }
void look(char *line) {
  sprintf(line, "%d %s %.1f %d, %d", changed(1), name(0), fraction(1), choose(2), zeroed[99999] + 3);
}
#endif

void setup(void) {}
