// The executable has a copy of a library's variable; the change uses another name of the same variable.
//
// before: "room"
// after: right "room too"

#include "stage.h"

extern char **environ, **__environ;

void setup(void) { setenv("ATLAS_CASE", "room", 1); }

static const char *find(char **list) {
  for (; *list; list++)
    if (strncmp(*list, "ATLAS_CASE=", 11) == 0) return *list + 11;
  return "none";
}

#ifdef AFTER
// Compilers take for granted that variables of two names are two.
static char ***volatile second;

void look(char *line) {
  second = &__environ;
  char ***volatile mine = &environ;
  sprintf(line, "%s too", mine == second ? find(environ) : "two variables");
}
#else
void look(char *line) { strcpy(line, find(__environ)); }
#endif
