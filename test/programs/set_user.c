/* setresuid and setgroups reach all threads, and a program that gave up its privileges still allocates memory. */
#include <grp.h>
#include "check.h"

static pthread_barrier_t before, after;

static void *thread_main(void *result) {
  pthread_barrier_wait(&before);
  pthread_barrier_wait(&after);
  uid_t real, effective, saved;
  CHECK(getresuid(&real, &effective, &saved) == 0);
  *(int *)result = real == effective && effective == saved ? (int)real : -1;
  char *memory = malloc(1 << 20);
  memset(memory, 1, 1 << 20);
  return NULL;
}

int main(void) {
  int root = geteuid() == 0;
  int result[3];
  pthread_t threads[3];
  pthread_barrier_init(&before, NULL, 4), pthread_barrier_init(&after, NULL, 4);
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, &result[i]) == 0);
  pthread_barrier_wait(&before);
  if (root) CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0);
  uid_t target = root ? 65534 : getuid();
  CHECK(setresuid(target, target, target) == 0);
  pthread_barrier_wait(&after);
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    say("thread %d has the new user: %d", i, result[i] == (int)target);
  }
  if (root) say("no way back: %d", setuid(0) == -1 && errno == EPERM);
  char *memory = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  memset(memory, 3, 8 << 20);
  pid_t pid = fork();
  if (pid == 0) execlp("sh", "sh", "-c", "exit 5", (char *)NULL);
  say_ending("child as that user", pid);
  return 0;
}
