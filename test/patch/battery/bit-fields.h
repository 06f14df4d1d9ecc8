#include "stage.h"

struct flags {
  int before;
#if defined SWAPPED
  unsigned high : 4, low : 4;
#elif defined WIDER
  unsigned low : 4, : 1, high : 4;
#else
  unsigned low : 4, high : 4;
#endif
};

static struct flags *flags;

void setup(void) {
  UNKNOWN(flags);
  flags = calloc(1, sizeof *flags);
  flags->low = 5;
  flags->high = 9;
}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "low %d high %d fixed", flags->low, flags->high);
#else
  sprintf(line, "low %d high %d", flags->low, flags->high);
#endif
}
