// A variable gets another type of the same size: its value would be misread.
//
// before: "seen 1"
// after: right "seen 1 again"
// after -DOTHER=unsigned: refused /value: .*\blong\b.*\bunsigned\b/
// after -DTYPE_FLOAT: refused /value: .*\blong\b.*\bdouble\b/
// after -DTYPE_POINTER: refused /value: .*\blong\b.*\bchar \*/
// after -DTYPE_HALVES: refused /value: .*\blong\b.*\bint\[2\]/
// after -DTYPE_STRUCT: refused /value: .*\blong\b.*\bstruct pair\b/
// after -DALIGNED: refused /value: its alignment was raised from 8 to 64/
// after -DTYPEDEF: right "seen 1 again"
// after -DPOINTEE: refused /target: .*\bint \*.*\bfloat \*/
// after -DSHAPE: refused /grid: .*\bint\[2\]\[3\].*\bint\[3\]\[2\]/
// after -DTHREAD: refused /own: .*\blong\b.*\bdouble\b/
// after -DPROTOTYPE: refused /callback: .*\bint\b.*\bdouble\b/

#include "stage.h"

typedef long number;
struct pair { int a, b; };

#ifdef AFTER
#define AGAIN " again"
#else
#define AGAIN ""
#endif

#ifdef OTHER
static unsigned long value;
#elif defined TYPE_FLOAT
static double value;
#elif defined TYPE_POINTER
static char *value;
#elif defined TYPE_HALVES
static int value[2];
#elif defined TYPE_STRUCT
static struct pair value;
#elif defined ALIGNED
static __attribute__((aligned(64))) long value;
#elif defined TYPEDEF
static number value;
#else
static long value;
#endif

#ifdef POINTEE
static float *target;
#else
static int *target;
#endif
#ifdef THREAD
static __thread double own;
#else
static __thread long own;
#endif
#ifdef SHAPE
static int grid[3][2];
#else
static int grid[2][3];
#endif
#ifdef PROTOTYPE
static int (*callback)(double);
#else
static int (*callback)(int);
#endif

void setup(void) {
  UNKNOWN(value);
  UNKNOWN(target);
  UNKNOWN(grid);
  UNKNOWN(callback);
  UNKNOWN(own);
  *(long *)&value = 1;
  target = calloc(1, 4);
  grid[0][0] = 0;
  callback = NULL;
}

NOINLINE void show(char *line) {
  sprintf(line, "seen %ld%s", *(long *)&value + (long)*target + grid[0][0] + (callback != NULL) + (long)own, AGAIN);
}

void look(char *line) { show(line); }
