/* Deferred cancellation of threads that sleep in the kernel and asynchronous cancellation of one that runs. */
#include "check.h"

static void cleanup(void *what) { say("cleaned up: %s", (char *)what); }

static void *sleeper(void *channel) {
  char byte;
  pthread_cleanup_push(cleanup, "reader");
  (void)!read(*(int *)channel, &byte, 1);
  pthread_cleanup_pop(0);
  return NULL;
}
static void *napper(void *unused) {
  pthread_cleanup_push(cleanup, "napper");
  for (;;) sleep(100);
  pthread_cleanup_pop(0);
  return unused;
}
static void *spinner(void *started) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  *(volatile int *)started = 1;
  for (;;) __asm__ volatile("pause");
  return NULL;
}

static void cancel(void *(*start)(void *), void *argument, volatile int *started) {
  pthread_t thread;
  void *result;
  CHECK(pthread_create(&thread, NULL, start, argument) == 0);
  pause_ms(20);
  while (started && !*started) pause_ms(1);
  CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
  say("cancelled: %d", result == PTHREAD_CANCELED);
}

int main(void) {
  int channel[2];
  volatile int started = 0;
  CHECK(pipe(channel) == 0);
  cancel(sleeper, channel, NULL);
  cancel(napper, NULL, NULL);
  cancel(spinner, (void *)&started, &started);
  return 0;
}
