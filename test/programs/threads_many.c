/* A thousand threads created and joined, in batches and one by one, each with its own thread-local storage. */
#include "check.h"

static __thread int mine;
static long total;

static void *thread_main(void *number) {
  mine = (int)(long)number;
  char *memory = malloc(5000);
  memset(memory, mine, 5000);
  sched_yield();
  CHECK(mine == (int)(long)number && memory[4999] == (char)mine);
  free(memory);
  __atomic_add_fetch(&total, mine, __ATOMIC_SEQ_CST);
  return number;
}

int main(void) {
  pthread_t threads[50];
  for (long batch = 0; batch < 10; batch++) {
    for (long i = 0; i < 50; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, (void *)(batch * 50 + i)) == 0);
    for (long i = 0; i < 50; i++) {
      void *result;
      CHECK(pthread_join(threads[i], &result) == 0 && result == (void *)(batch * 50 + i));
    }
  }
  for (long i = 500; i < 1000; i++)
    CHECK(pthread_create(&threads[0], NULL, thread_main, (void *)i) == 0 && pthread_join(threads[0], NULL) == 0);
  say("total %ld", total);
  return 0;
}
