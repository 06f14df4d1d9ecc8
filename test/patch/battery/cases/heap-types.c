// Objects on the heap live on: their type changes, whatever it is called.
//
// before: "a 1 b 2"
// after: right "a 1 b 2 fixed"
// after -DCASE_TYPEDEF: refused /its layout changed/
// after -DCASE_POINTER_TYPEDEF: refused /its layout changed/
// after -DCASE_UNNAMED: refused /its layout changed/
// after -DCASE_LOCAL: refused /its layout changed/
// after -DCASE_RENAMED: refused /its layout changed/
// after -DCASE_RENAMED_ONLY: right "a 1 b 2 fixed"
// after -DCASE_NAMED: refused /its layout changed/
// after -DCASE_SIGNED: refused /its layout changed/
// after -DCASE_MEMBER_NAMES: refused /its layout changed/
// after -DCASE_UNION: refused /its layout changed/
// after -DCASE_CAST: refused /its layout changed/
// after -DCASE_PARAMETER: refused /its layout changed/

#include "stage.h"

#ifdef AFTER
#define FIXED " fixed"
#else
#define FIXED ""
#endif

#ifdef CASE_TYPEDEF
typedef struct { short c; short a; int b; } plain;
#else
typedef struct { int a; int b; } plain;
#endif
static plain *by_typedef;

#ifdef CASE_POINTER_TYPEDEF
typedef struct { int b, a; } *handle;
#else
typedef struct { int a, b; } *handle;
#endif
static handle by_handle;

#ifdef CASE_UNNAMED
static struct { int b, a; } *unnamed;
#elif defined CASE_NAMED
static struct first_named_now { int b, a; } *unnamed;
#else
static struct { int a, b; } *unnamed;
#endif

#ifdef CASE_RENAMED
struct new_name { int b, a; };
static struct new_name *renamed;
#elif defined CASE_RENAMED_ONLY
struct new_name { int a, b; };
static struct new_name *renamed;
#else
struct old_name { int a, b; };
static struct old_name *renamed;
#endif

#ifdef CASE_SIGNED
struct counts { unsigned a; int b; };
#elif defined CASE_MEMBER_NAMES
struct counts { int b, a; };
#else
struct counts { int a, b; };
#endif
static struct counts *counts;

#ifdef CASE_UNION
union number { double real; long whole; };
#else
union number { float real; long whole; };
#endif
static union number *number;

#ifdef CASE_CAST
struct seen_by_cast { int b, a; };
#else
struct seen_by_cast { int a, b; };
#endif
static void *opaque;

#ifdef CASE_PARAMETER
struct argument_now { int b, a; };
#define ARGUMENT struct argument_now
#else
struct argument_then { int a, b; };
#define ARGUMENT struct argument_then
#endif
static void *argument;

static NOINLINE void *pair_of_numbers(void) {
  int *pair = malloc(2 * sizeof *pair);
  pair[0] = 1;
  pair[1] = 2;
  return pair;
}

static NOINLINE int local_type(void *memory) {
#ifdef CASE_LOCAL
  struct node { int b, a; } *node = memory;
#else
  struct node { int a, b; } *node = memory;
#endif
  return node->a * 10 + node->b;
}

static NOINLINE int parameter(ARGUMENT *object) { return object->a * 10 + object->b; }

void setup(void) {
  UNKNOWN(by_typedef);
  UNKNOWN(by_handle);
  UNKNOWN(unnamed);
  UNKNOWN(renamed);
  UNKNOWN(counts);
  UNKNOWN(opaque);
  UNKNOWN(argument);
  UNKNOWN(number);
  by_typedef = pair_of_numbers();
  by_handle = pair_of_numbers();
  unnamed = pair_of_numbers();
  renamed = pair_of_numbers();
  counts = pair_of_numbers();
  opaque = pair_of_numbers();
  argument = pair_of_numbers();
  number = calloc(1, sizeof *number);
}

NOINLINE void show(char *line) {
  int a = by_typedef->a, b = by_handle->b;
  struct seen_by_cast *cast = opaque;
  int rest = unnamed->a == 1 && renamed->b == 2 && counts->a == 1 && cast->b == 2 && number->real == 0;
  if (local_type(opaque) != 12 || parameter(argument) != 12 || !rest) a = -1;
  sprintf(line, "a %d b %d%s", a, b, FIXED);
}

void look(char *line) { show(line); }
