/* The main thread ends by pthread_exit while others live on, allocate, fork and start threads. */
#include "check.h"

static pthread_t main_thread;

static void *inner(void *unused) { return unused; }

static void *survivor(void *unused) {
  CHECK(pthread_join(main_thread, NULL) == 0);
  char state = '?';
  char path[100], line[500];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", getpid());
  FILE *file = fopen(path, "r");
  if (file && fgets(line, sizeof line, file)) state = strrchr(line, ')')[2];
  say("leader's state: %c", state);
  char *memory = malloc(4 << 20);
  memset(memory, 1, 4 << 20);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, inner, NULL) == 0 && pthread_join(thread, NULL) == 0);
  pid_t pid = fork();
  if (pid == 0) _exit(11);
  say_ending("child", pid);
  exit(31);
  return unused;
}

int main(void) {
  main_thread = pthread_self();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, survivor, NULL) == 0);
  pthread_exit(NULL);
}
