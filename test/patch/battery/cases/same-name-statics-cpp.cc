// Two statics of one name, in C++.
//
// before: "first 10 second 20"
// after: right "first 10 second 20 fixed"
// after -DFIRST_REMOVED: right "second 20 fixed"
// after -DFUNCTIONS_SWAPPED: right "first 10 second 20 fixed"
// after -DBLOCKS_SWAPPED: refused /n.*cannot tell/
// after -DBLOCK_REMOVED: refused /n.*cannot tell/
// after -DBLOCK_INSERTED: refused /n.*cannot tell/
// after -DTYPES_SWAPPED: right "first 10 second 20 fixed" or refused /cannot tell/

#include "stage.h"

static int in_blocks[2];
static int in_types[2];
static volatile int extra;

#ifdef AFTER
#define FIXED " fixed"
#define EXTRA + (x > 100)
#else
#define FIXED ""
#define EXTRA
#endif

#define FIRST \
  static NOINLINE int first(int x) { \
    static int n; \
    if (x) n = x; \
    return n EXTRA; \
  }
#define SECOND \
  static NOINLINE int second(int x) { \
    static int n; \
    if (x) n = x; \
    return n EXTRA; \
  }
#ifdef FUNCTIONS_SWAPPED
SECOND FIRST
#elif defined FIRST_REMOVED
SECOND
#else
FIRST SECOND
#endif

static NOINLINE void blocks(int x) {
#define BLOCK_0 { static int n; if (x) n = x; in_blocks[0] = n; }
#define BLOCK_1 { static int n; if (x) n = x + 1; in_blocks[1] = n; }
#if defined BLOCKS_SWAPPED
  BLOCK_1 BLOCK_0
#elif defined BLOCK_REMOVED
  BLOCK_1
#elif defined BLOCK_INSERTED
  { static int n = 0; if (x) n = x + 7; extra = n; }
  BLOCK_0 BLOCK_1
#else
  BLOCK_0 BLOCK_1
#endif
}

static NOINLINE void types(int x) {
#define TYPE_0 { static int t; if (x) t = x; in_types[0] = t; }
#define TYPE_1 { static float t; if (x) t = x + 1; in_types[1] = t; }
#ifdef TYPES_SWAPPED
  TYPE_1 TYPE_0
#else
  TYPE_0 TYPE_1
#endif
}

void setup(void) {
#ifndef FIRST_REMOVED
  first(10);
#endif
  second(20);
  blocks(5);
  types(5);
}

NOINLINE void look(char *line) {
  blocks(0);
  types(0);
  if (in_blocks[0] != 5 || in_blocks[1] != 6 || in_types[0] != 5 || in_types[1] != 6) {
    sprintf(line, "blocks %d %d %d %d", in_blocks[0], in_blocks[1], in_types[0], in_types[1]);
    return;
  }
#ifdef FIRST_REMOVED
  sprintf(line, "second %d" FIXED, second(0));
#else
  sprintf(line, "first %d second %d" FIXED, first(0), second(0));
#endif
}
