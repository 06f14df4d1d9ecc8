/*
 * credentials END: a thread changes its credentials all the while, others give birth to threads that soon end. Ends when
 * the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

enum { THREADS = 4 };

static volatile int over;

static void *changer(void *turns) {
  gid_t group = getgid();
  for (long *count = turns; !over; ++*count) CHECK(syscall(SYS_setfsgid, group) == (long)group);
  return NULL;
}

static void *newborn(void *value) {
  if (++*(int *)value % 2 == 0) usleep(200);
  return value;
}

static void *begetter(void *turns) {
  for (long *count = turns; !over; ++*count) {
    pthread_t threads[2];
    int values[2] = {(int)*count, (int)*count};
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, newborn, &values[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0 && values[i] == (int)*count + 1);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  pthread_t threads[THREADS];
  long turns[THREADS] = {0};
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, i == 0 ? changer : begetter, &turns[i]) == 0);
  say("ready");
  while (access(argv[1], F_OK) != 0) pause_ms(5);
  over = 1;
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
