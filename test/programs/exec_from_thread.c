/* exec from a thread that is not the leader keeps the pid and ends all other threads. */
#include "check.h"

static void *sleeper(void *unused) {
  for (;;) pause();
  return unused;
}
static void *brief(void *unused) { return unused; }
static void *executor(void *self) {
  char pid[20];
  snprintf(pid, sizeof pid, "%d", getpid());
  CHECK(gettid() != getpid());
  pause_ms(10);
  execl("/proc/self/exe", self, "again", pid, (char *)NULL);
  CHECK(0);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    CHECK(getpid() == atoi(argv[2]) && gettid() == getpid());
    FILE *status = fopen("/proc/self/status", "r");
    char line[200];
    while (fgets(line, sizeof line, status))
      if (strncmp(line, "Threads:", 8) == 0) printf("%s", line);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, brief, NULL) == 0 && pthread_join(thread, NULL) == 0);
    say("same pid after exec");
    return 12;
  }
  pthread_t thread;
  for (int i = 0; i < 5; i++) CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
  CHECK(pthread_create(&thread, NULL, executor, argv[0]) == 0);
  pthread_join(thread, NULL);
  return 1;
}
