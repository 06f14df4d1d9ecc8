/*
 * spinners END THREADS: threads that compute, and look now and then what time it is. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

static volatile int over;

static void *spinner(void *turns) {
  unsigned long sum = 0;
  for (long *count = turns; !over; ++*count) {
    for (int i = 0; i < 20000; i++) sum = sum * 31 + i;
    CHECK(syscall(SYS_getppid) > 0);
  }
  return (void *)(sum | 1);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  static pthread_t threads[16];
  static long turns[16];
  int count = atoi(argv[2]);
  CHECK(count <= 16);
  for (int i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, spinner, &turns[i]) == 0);
  say("ready");
  while (access(argv[1], F_OK) != 0) pause_ms(5);
  over = 1;
  for (int i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
