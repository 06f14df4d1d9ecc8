// Enumerators get other numbers while variables hold the old ones.
//
// before: "state busy, color green"
// after: right "state busy, color green fixed"
// after -DINSERTED: refused /enum state: .*BUSY was 1 and is 2/
// after -DINSERTED --accept enumerators: right "state idle, color green fixed"
// after -DUNNAMED: refused /GREEN was 1 and is 2/
// after -DREPLACED: refused /enum state: 1 was BUSY and is WORKING/
// after -DAPPENDED: right "state busy, color green fixed"

#include "stage.h"

enum state {
#ifdef INSERTED
  FRESH,
#endif
  IDLE,
#ifdef REPLACED
  WORKING,
#define BUSY WORKING
#else
  BUSY,
#endif
  DONE,
#ifdef APPENDED
  FAILED,
#endif
};
enum {
  RED,
#ifdef UNNAMED
  ORANGE,
#endif
  GREEN
};

static enum state state;
static int color;

void setup(void) {
  UNKNOWN(state);
  UNKNOWN(color);
  state = BUSY;
  color = GREEN;
}

static NOINLINE const char *name_of(enum state which) {
  switch (which) {
    case IDLE: return "idle";
    case BUSY: return "busy";
    case DONE: return "done";
    default: return "?";
  }
}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "state %s, color %s fixed", name_of(state), color == GREEN ? "green" : "?");
#else
  sprintf(line, "state %s, color %s", name_of(state), color == GREEN ? "green" : "?");
#endif
}
