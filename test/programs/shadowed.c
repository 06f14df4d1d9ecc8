/* Threads, a lock, memory that comes and goes: a program for tools that keep shadow memory or emulate. */
#define NEVER_HELD
#include "check.h"

static int count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *run(void *argument) {
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&mutex);
    count++;
    pthread_mutex_unlock(&mutex);
  }
  char *large = malloc(300000), *area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(large, 1, 300000), memset(area, 2, 64 * PAGE);
  CHECK(munmap(area + 8 * PAGE, 8 * PAGE) == 0 && madvise(area, 4 * PAGE, MADV_DONTNEED) == 0);
  CHECK(area[0] == 0 && area[63 * PAGE] == 2);
  free(large);
  return argument;
}

int main(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
  for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(7);
  say_ending("child", pid);
  say("counted %d", count);
  return 0;
}
