// A `const` object of one file with another content is carried, with all functions that use it.
//
// before: "1 2, 10, 9 one"
// after -DLIST: right "1 3, 11, 9 one"
// after -DTABLE: right "1 2, 10, 8 one"
// after -DNAMES: right "1 2, 10, 9 uno"
// after -DPOINTED: refused /pointer: its initial value changed/
// after -DFUNCTIONS: refused /functions: its initial value changed/
// after -DGLOBAL: refused /shared: its initial value changed/

#include "stage.h"

static int atoi_of(int x) { return x; }
#ifdef LIST
static const int list[4] = {1, 3, 5, 7};
#define BASE 11
#else
static const int list[4] = {1, 2, 4, 8};
#define BASE 10
#endif
#ifdef TABLE
static const int table[4] = {8, 8, 9, 8};
#else
static const int table[4] = {9, 9, 9, 9};
#endif
#ifdef GLOBAL
const int shared[2] = {1, 2};
#else
const int shared[2] = {1, 1};
#endif

#ifdef NAMES
static const char *const names[] = {"uno", "dos"};
#else
static const char *const names[] = {"one", "two"};
#endif
#ifdef POINTED
static const int pointed[3] = {1, 2, 4};
#else
static const int pointed[3] = {1, 2, 3};
#endif
static const int *volatile pointer = pointed;
#ifdef FUNCTIONS
static int (*const functions[])(int) = {abs, atoi_of, abs};
#else
static int (*const functions[])(int) = {abs, abs, atoi_of};
#endif

static volatile int index_of;
NOINLINE int user_of_table(void) { return table[index_of & 3]; }
NOINLINE int user_of_shared(void) { return shared[index_of & 1]; }

void setup(void) {}

void look(char *line) {
  sprintf(line, "%d %d, %d, ", list[index_of & 3], list[(index_of + 1) & 3], BASE);
  if (pointer[index_of & 1] != 1 || functions[index_of & 1](-5) != 5 || user_of_shared() != 1) strcat(line, "wrong ");
  sprintf(line + strlen(line), "%d %s", user_of_table(), names[index_of & 1]);
}
