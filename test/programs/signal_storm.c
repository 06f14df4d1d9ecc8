/* Threads signal each other ten thousand times while they allocate and compute; nothing is lost or corrupted. */
#include "check.h"

#define THREADS 4
static pthread_t threads[THREADS];
static long received[THREADS];
static __thread int me;
static pthread_barrier_t barrier;

static void handler(int unused) { (void)unused, __atomic_add_fetch(&received[me], 1, __ATOMIC_SEQ_CST); }

static void *thread_main(void *number) {
  me = (int)(long)number;
  pthread_barrier_wait(&barrier);
  double x = me + 1;
  for (int i = 0; i < 2500; i++) {
    int target = (me + 1 + i % (THREADS - 1)) % THREADS;
    while (pthread_sigqueue(threads[target], SIGRTMIN, (union sigval){.sival_int = i}) != 0) {
      CHECK(errno == EAGAIN || errno == 0);
      sched_yield();
    }
    char *memory = malloc(100 + i);
    memset(memory, me, 100 + i);
    x = x * 1.0000001 + memory[50];
    CHECK(memory[99 + i] == me);
    free(memory);
  }
  pthread_barrier_wait(&barrier);
  CHECK(x > me);
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
  pthread_barrier_init(&barrier, NULL, THREADS);
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGRTMIN);
  for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, (void *)i) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  long total = 0;
  for (int i = 0; i < THREADS; i++) total += received[i];
  say("received %ld", total);
  return 0;
}
