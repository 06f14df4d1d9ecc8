// A variable without an initial value is common to all files (-fcommon).
//
// before: "value 3"
// after: right "value 3 fixed"
// after -DINITIALISED: refused /value: its initial value changed/
// after -DZERO: right "value 3 fixed"
// after -DLONGER: refused /value: its size changed from 4 to 16/
// after -DALIGNED: refused /value: its alignment was raised from 4 to 64/
// after -DRETYPED: refused /value: .*int.*float/
// after -DSTATIC: right "value 3 fixed" or refused /value/
// flags: -fcommon

#include "stage.h"

#if defined INITIALISED
int value = 5;
#elif defined ZERO
int value = 0;
#elif defined LONGER
int value[4];
#elif defined ALIGNED
__attribute__((aligned(64))) int value;
#elif defined RETYPED
float value;
#elif defined STATIC
static int value;
#else
int value;
#endif

void setup(void) {
  UNKNOWN(value);
  *(int *)&value = 3;
}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "value %d fixed", *(int *)&value);
#else
  sprintf(line, "value %d", *(int *)&value);
#endif
}
