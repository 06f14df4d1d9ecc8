/* Process-shared mutex, condition variable and semaphore in MAP_SHARED memory between parent and child. */
#include <semaphore.h>
#include "check.h"

struct table {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  sem_t full, empty;
  int turn, sum, item;
};

int main(void) {
  struct table *table = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t mutex_attributes;
  pthread_condattr_t condition_attributes;
  pthread_mutexattr_init(&mutex_attributes), pthread_condattr_init(&condition_attributes);
  pthread_mutexattr_setpshared(&mutex_attributes, PTHREAD_PROCESS_SHARED);
  pthread_condattr_setpshared(&condition_attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&table->mutex, &mutex_attributes);
  pthread_cond_init(&table->condition, &condition_attributes);
  sem_init(&table->full, 1, 0), sem_init(&table->empty, 1, 1);
  pid_t pid = fork();
  int me = pid == 0;
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&table->mutex);
    while (table->turn % 2 != me) pthread_cond_wait(&table->condition, &table->mutex);
    table->turn++;
    pthread_cond_signal(&table->condition);
    pthread_mutex_unlock(&table->mutex);
  }
  for (int i = 0; i < 200; i++) {
    CHECK(sem_wait(me ? &table->full : &table->empty) == 0);
    if (me) table->sum += table->item;
    else table->item = i;
    CHECK(sem_post(me ? &table->empty : &table->full) == 0);
  }
  if (pid == 0) _exit(0);
  say_ending("child", pid);
  say("turns %d sum %d", table->turn, table->sum);
  return 0;
}
