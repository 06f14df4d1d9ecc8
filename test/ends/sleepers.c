/*
 * sleepers END THREADS: threads that sleep briefly, over and over, and so come out of the kernel at the same address.
 * Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

static volatile int over;

static void *sleeper(void *turns) {
  unsigned seed = (unsigned)(uintptr_t)turns;
  for (long *count = turns; !over; ++*count) {
    seed = seed * 1103515245 + 12345;
    struct timespec time = {0, (500 + seed / 65536 % 8000) * 1000};
    CHECK(nanosleep(&time, NULL) == 0);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  static pthread_t threads[16];
  static long turns[16];
  int count = atoi(argv[2]);
  CHECK(count <= 16);
  for (int i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, sleeper, &turns[i]) == 0);
  say("ready");
  while (access(argv[1], F_OK) != 0) pause_ms(5);
  over = 1;
  for (int i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
