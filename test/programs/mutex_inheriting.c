/* A priority-inheriting mutex under contention, its error checking, and a process-shared one. */
#include "check.h"

static pthread_mutex_t mutex;
static int counter;

static void *thread_main(void *unused) {
  for (int i = 0; i < 200; i++) {
    CHECK(pthread_mutex_lock(&mutex) == 0);
    counter++;
    if (i % 50 == 0) sched_yield();
    CHECK(pthread_mutex_unlock(&mutex) == 0);
  }
  return unused;
}

int main(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, NULL) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  say("counter %d", counter);
  pthread_mutex_lock(&mutex);
  say("locked twice: %s", pthread_mutex_lock(&mutex) == EDEADLK ? "deadlock avoided" : "?");
  pthread_mutex_unlock(&mutex);
  say("not the owner: %s", pthread_mutex_unlock(&mutex) == EPERM ? "refused" : "?");
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  struct both {
    pthread_mutex_t mutex;
    int counter;
  } *both = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(pthread_mutex_init(&both->mutex, &attributes) == 0);
  pid_t pid = fork();
  for (int i = 0; i < 300; i++) {
    int result = pthread_mutex_lock(&both->mutex);
    if (result != 0) say("%s: lock %d: %s", pid == 0 ? "child" : "parent", i, strerror(result));
    CHECK(result == 0);
    both->counter++;
    if (i % 30 == 0) sched_yield();
    CHECK(pthread_mutex_unlock(&both->mutex) == 0);
  }
  if (pid == 0) _exit(0);
  say_ending("child", pid);
  say("across processes: %d", both->counter);
  return 0;
}
