/* A robust mutex whose owner dies, as a thread and as a process, reports EOWNERDEAD and can be repaired. */
#include "check.h"

static pthread_mutex_t *mutex;

static void *dies_owning(void *unused) {
  CHECK(pthread_mutex_lock(mutex) == 0);
  return unused;
}

static void repair(const char *who) {
  int result = pthread_mutex_lock(mutex);
  say("%s: %s", who, result == EOWNERDEAD ? "owner died" : result == 0 ? "locked" : strerror(result));
  if (result == EOWNERDEAD) CHECK(pthread_mutex_consistent(mutex) == 0);
  CHECK(pthread_mutex_unlock(mutex) == 0);
}

int main(void) {
  mutex = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  CHECK(pthread_mutex_init(mutex, &attributes) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, dies_owning, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  repair("after a thread");
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(pthread_mutex_lock(mutex) == 0);
    raise(SIGKILL);
  }
  say_ending("child", pid);
  repair("after a process");
  repair("after the repair");
  pid = fork();
  if (pid == 0) {
    CHECK(pthread_mutex_lock(mutex) == 0);
    pause_ms(50);
    _exit(0);
  }
  pause_ms(20);
  repair("after waiting for the dying");
  say_ending("child", pid);
  return 0;
}
