// New uses of variables of the C library, read, written, compared, and by address: the executable has no copies of them.
//
// before: "old"
// after: right "same same 1 room"
// after -DADDRESS: right "same same 1 room, 7 8"

#include "stage.h"
#include <unistd.h>
#include <getopt.h>
#include <pthread.h>

extern char **environ;
static int round;

void setup(void) { setenv("ATLAS_CASE", "room", 1); }

#ifdef AFTER
static NOINLINE int *where(void) { return &optopt; }
void look(char *line) {
  optind = 1;
  int same = fileno(stdin) == 0 && fileno(stderr) == 2;
  const char *value = "none";
  for (char **entry = environ; *entry; entry++)
    if (strncmp(*entry, "ATLAS_CASE=", 11) == 0) value = *entry + 11;
  sprintf(line, "%s %s %d %s", same ? "same" : "other", stdin == stderr ? "other" : "same", optind, value);
#ifdef ADDRESS
  char *arguments[] = {"x", "-z", 0};
  opterr = 0;
  optind = 1;
  *where() = 7;
  sprintf(line + strlen(line), ", %d", optopt);
  optopt += 1;
  sprintf(line + strlen(line), " %d", *where());
#endif
}
#else
void look(char *line) { strcpy(line, "old"); }
#endif
