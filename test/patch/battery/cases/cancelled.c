// A thread is cancelled inside a patched function: the handlers of its callers run, and the mutex is free again.
//
// before: "old"
// after: right "cleaned 2, free"
// flags: -fexceptions

#include "stage.h"
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static volatile int cleaned, entered;

static void unlock(void *mutex) { pthread_mutex_unlock((pthread_mutex_t *)mutex); cleaned++; }

static NOINLINE void waits(void) {
  entered = 1;
  for (;;) usleep(1000);
}
#ifdef AFTER
static NOINLINE void work(void) { volatile int x = 1; pthread_cleanup_push(unlock, &held); waits(); pthread_cleanup_pop(x); }
#else
static NOINLINE void work(void) { volatile int x = 0; pthread_cleanup_push(unlock, &held); waits(); pthread_cleanup_pop(x); }
#endif
static void outer_clean(void *none) { cleaned++; }
static NOINLINE void *body(void *none) {
  pthread_mutex_lock(&held);
  pthread_cleanup_push(outer_clean, 0);
  work();
  pthread_cleanup_pop(0);
  return 0;
}

static void *(*volatile start)(void *) = body;

void setup(void) { if (!start) abort(); }

void look(char *line) {
#ifdef AFTER
  pthread_t thread;
  cleaned = entered = 0;
  pthread_create(&thread, 0, start, 0);
  while (!entered) usleep(100);
  pthread_cancel(thread);
  pthread_join(thread, 0);
  int isFree = pthread_mutex_trylock(&held) == 0;
  if (isFree) pthread_mutex_unlock(&held);
  else pthread_mutex_init(&held, 0);
  sprintf(line, "cleaned %d, %s", (int)cleaned, isFree ? "free" : "locked");
#else
  strcpy(line, "old");
#endif
}
