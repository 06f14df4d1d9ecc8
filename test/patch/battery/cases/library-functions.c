// New calls of library functions that choose their code when the program starts (ifunc), and pointers to them; one the
// program calls already, too.
//
// before: "3 old"
// after: right "4 xbc 1 1"
// after -DPOINTERS: right "4 xbc 1 1 ptr"

#include "stage.h"

static const char *volatile text = "abc";
static char room[16];

void setup(void) {}

#ifdef AFTER
#pragma GCC optimize("no-builtin")
typedef size_t measure(const char *);
#ifdef POINTERS
static measure *volatile measured = strnlen == 0 ? 0 : 0;
#endif
void look(char *line) {
  memcpy(room, text, strlen(text) + 1);
  memmove(room + 8, room, 4);
  strchr(room, 'a')[0] = 'x';
  sprintf(line, "%d %s %d %d", (int)strlen(text) + 1, room, strcmp(room + 8, text) == 0, memcmp(room + 8, text, 3) == 0);
#ifdef POINTERS
  measure *volatile pointer = strlen;
  if (pointer(text) == 3 && pointer == (measure *volatile)strlen) strcat(line, " ptr");
#endif
}
#else
void look(char *line) { sprintf(line, "%d old", (int)strlen(text)); }
#endif
