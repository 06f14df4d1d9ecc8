/*
 * short-lived END: threads that are born and end all the while, several at a time. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

enum { BEGETTERS = 3, CHILDREN = 4 };

static volatile int over;

static void *child(void *value) {
  ++*(int *)value;
  return value;
}

static void *begetter(void *turns) {
  for (long *count = turns; !over; ++*count) {
    pthread_t threads[CHILDREN];
    int values[CHILDREN] = {0};
    for (int i = 0; i < CHILDREN; i++) CHECK(pthread_create(&threads[i], NULL, child, &values[i]) == 0);
    for (int i = 0; i < CHILDREN; i++) CHECK(pthread_join(threads[i], NULL) == 0 && values[i] == 1);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  pthread_t threads[BEGETTERS];
  long turns[BEGETTERS] = {0};
  for (int i = 0; i < BEGETTERS; i++) CHECK(pthread_create(&threads[i], NULL, begetter, &turns[i]) == 0);
  say("ready");
  while (access(argv[1], F_OK) != 0) pause_ms(5);
  over = 1;
  for (int i = 0; i < BEGETTERS; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
