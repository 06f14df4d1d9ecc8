/* Mutex, condition variable, barrier, semaphore and read-write lock among eight threads. */
#include <semaphore.h>
#include "check.h"

#define THREADS 8
#define ROUNDS 300

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static int turn, counter, serial, written, inside;

static void *thread_main(void *number) {
  int me = (int)(long)number;
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  for (int i = 0; i < 20; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % THREADS != me) pthread_cond_wait(&turn_changed, &mutex);
    turn++;
    pthread_cond_broadcast(&turn_changed);
    pthread_mutex_unlock(&mutex);
  }
  for (int i = 0; i < 20; i++)
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) serial++;
  for (int i = 0; i < 50; i++) {
    while (sem_wait(&semaphore) != 0) CHECK(errno == EINTR);
    CHECK(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) <= 2);
    sched_yield();
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    sem_post(&semaphore);
  }
  for (int i = 0; i < ROUNDS; i++) {
    if (i % 10 == me) {
      pthread_rwlock_wrlock(&lock);
      written++;
    } else {
      pthread_rwlock_rdlock(&lock);
    }
    pthread_rwlock_unlock(&lock);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&barrier, NULL, THREADS);
  sem_init(&semaphore, 0, 2);
  for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, (void *)i) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  say("counter %d turn %d serial %d written %d", counter, turn, serial, written);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
  pthread_mutex_lock(&mutex);
  say("timed wait: %d", pthread_cond_timedwait(&turn_changed, &mutex, &soon) == ETIMEDOUT);
  return 0;
}
