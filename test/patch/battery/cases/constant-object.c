// A `const` object of one file with another content: what only changed functions use is carried with them.
//
// before: "1 2, 10"
// after -DONE_USER: right "1 3, 11"
// after -DTWO_USERS: refused /table: its initial value changed/
// after -DGLOBAL: refused /shared: its initial value changed/

#include "stage.h"

#ifdef ONE_USER
static const int list[4] = {1, 3, 5, 7};
#define BASE 11
#else
static const int list[4] = {1, 2, 4, 8};
#define BASE 10
#endif
#ifdef TWO_USERS
static const int table[4] = {9, 9, 9, 8};
#else
static const int table[4] = {9, 9, 9, 9};
#endif
#ifdef GLOBAL
const int shared[2] = {1, 2};
#else
const int shared[2] = {1, 1};
#endif

static volatile int index_of;
NOINLINE int user_of_table(void) { return table[index_of & 3]; }
NOINLINE int user_of_shared(void) { return shared[index_of & 1]; }

void setup(void) {}

void look(char *line) {
  sprintf(line, "%d %d, %d", list[index_of & 3], list[(index_of + 1) & 3], BASE);
}
