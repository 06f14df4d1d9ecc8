// A string literal is used from its middle, and edited.
//
// before: "error: world|hello, world|world"
// after: right "error: there|howdy! there|there"
// after -DTAIL: right "error: there|hello, there|there"
// after -DSHORTER: right "error: you|oh, you|you"

#include "stage.h"

#ifndef AFTER
#define MESSAGE "hello, world"
#define AT 7
#elif defined SHORTER
#define MESSAGE "oh, you"
#define AT 4
#elif defined TAIL
#define MESSAGE "hello, there"
#define AT 7
#else
#define MESSAGE "howdy! there"
#define AT 7
#endif

static NOINLINE const char *whole(void) { return MESSAGE; }
static NOINLINE const char *tail(void) { return MESSAGE + AT; }

NOINLINE void use(char *line, const char *message) { sprintf(line, "error: %s|%s|%s", message, whole(), tail()); }

void setup(void) {}

void look(char *line) {
  const char *volatile message = MESSAGE + AT;
  use(line, message);
}
