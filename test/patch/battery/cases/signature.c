// The signature of an internal function changes together with its callers, cloned or inlined.
//
// before: "23 111 7"
// after: right "26 222 7"
// after -DMORE: right "28 333 8"
// after -DPOINTER: right "26 222 7"

#include "stage.h"

struct wide { long a, b, c; };
static struct wide kept;
static int calls;

#if defined MORE
static NOINLINE int scale(int x, long extra, int factor) { calls++; return x * factor + (int)extra; }
#define SCALE(x) scale(x, 7, 7)
#elif defined AFTER
static NOINLINE int scale(int factor, int x, int more) { calls++; return x * factor + more; }
#define SCALE(x) scale(7, x, 5)
#else
static NOINLINE int scale(int x, int factor) { calls++; return x * factor + 2; }
#define SCALE(x) scale(x, 7)
#endif

#if defined POINTER
static NOINLINE long sum(const struct wide *w, int times) { return (w->a + w->b + w->c) * times; }
#define SUM sum(&kept, 2)
#elif defined MORE
static NOINLINE long sum(long a, long b, long c, int times) { return (a + b + c) * times; }
#define SUM sum(kept.a, kept.b, kept.c, 3)
#elif defined AFTER
static NOINLINE long sum(struct wide w, int times) { return (w.a + w.b + w.c) * times; }
#define SUM sum(kept, 2)
#else
static NOINLINE long sum(struct wide *w) { return w->a + w->b + w->c; }
#define SUM sum(&kept)
#endif

static inline int inlined(int x) { return SCALE(x) - 0; }
NOINLINE int caller(int x) { return inlined(x); }
NOINLINE int other_caller(int x) { return x > 50 ? inlined(x) : x; }

void setup(void) {
  UNKNOWN(kept);
  kept.a = 1;
  kept.b = 10;
  kept.c = 100;
}

NOINLINE void look(char *line) {
#ifdef MORE
  int seven = 8;
#else
  int seven = 7;
#endif
  sprintf(line, "%d %ld %d", caller(3), SUM, other_caller(seven));
}
