/*
 * protects END: a thread changes the protection of one page after the other, by calls that the supervisor lets go as
 * they are while there is one generation. It shares its processor with one that comes before it, so that it often
 * waits for its turn just before its call. While the file END.still exists it changes nothing. Ends when the file END
 * exists.
 */
#define _GNU_SOURCE
#include "check.h"
#include <sched.h>

enum { PAGES = 256 };

static const char *end_file;
static volatile int over;

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void pin(int policy) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  struct sched_param parameter = {.sched_priority = policy == SCHED_FIFO ? 1 : 0};
  CHECK(sched_setscheduler(0, policy, &parameter) == 0);
}

static void *protector(void *turns) {
  pin(SCHED_OTHER);
  char *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  for (long *count = turns; !over; ++*count) {
    int protection = *count / PAGES % 2 ? PROT_READ | PROT_WRITE : PROT_READ;
    CHECK(syscall(SYS_mprotect, area + *count % PAGES * PAGE, PAGE, protection) == 0);
    if (!exists(".still")) continue;
    say("still");
    while (exists(".still")) pause_ms(1);
    say("going");
  }
  return NULL;
}

static void *first_comer(void *turns) {
  pin(SCHED_FIFO);
  for (long *count = turns; !over; ++*count) {
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 10000000);
    pause_ms(2);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  end_file = argv[1];
  pthread_t threads[2];
  long turns[2] = {0};
  CHECK(pthread_create(&threads[0], NULL, protector, &turns[0]) == 0);
  CHECK(pthread_create(&threads[1], NULL, first_comer, &turns[1]) == 0);
  say("ready");
  while (!exists("")) pause_ms(5);
  over = 1;
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
