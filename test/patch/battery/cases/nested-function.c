// The address of a nested function is kept: its trampoline lies on the stack of the function around it.
//
// before: "value 7"
// after: refused /nested function/
// after -DELSEWHERE: right "value 7 fixed"
// only: gcc

#include <pthread.h>
#include <unistd.h>
#include "stage.h"

static int (*volatile kept)(void);
static pthread_barrier_t ready;

static void *hold(void *nothing) {
  int seven = 7;
#if defined AFTER && !defined ELSEWHERE
  int before[4] = {1, 2, 3, 4}, more = 3;
  int value(void) { return seven + more + before[seven & 3]; }
#else
  int value(void) { return seven; }
#endif
  kept = value;
  pthread_barrier_wait(&ready);
  for (;;) pause();
}

void setup(void) {
  pthread_t thread;
  pthread_barrier_init(&ready, NULL, 2);
  pthread_create(&thread, NULL, hold, NULL);
  pthread_barrier_wait(&ready);
}

NOINLINE void look(char *line) {
#ifdef AFTER
  sprintf(line, "value %d fixed", kept());
#else
  sprintf(line, "value %d", kept());
#endif
}
