// Code that points before or behind a string literal.
//
// before: "letter c digit 7"
// after: right "letter d digit 7"

#include "stage.h"

#ifdef AFTER
#define LETTERS "xbde"
#else
#define LETTERS "abcd"
#endif

/* 1-based: the compiler folds the -1 into the address. */
static NOINLINE int letter(unsigned long which) { return (LETTERS - 1)[which]; }
static NOINLINE int digit(unsigned long which) { return ("0123456789" - 48)[which]; }

void setup(void) {}

NOINLINE void look(char *line) { sprintf(line, "letter %c digit %c", letter(3), digit(55)); }
