/* A tree of processes, three deep and three wide, each with its own copy of a counter, forked while threads run. */
#include "check.h"

static volatile int stop;
static volatile long ticks;
static void *spinner(void *unused) {
  while (!stop) ticks++, malloc(1 + ticks % 500) == NULL ? abort() : (void)0;
  return unused;
}

static int grow(int depth, int value) {
  int sum = value;
  if (depth == 0) return sum;
  for (int i = 1; i <= 3; i++) {
    int channel[2], part;
    CHECK(pipe(channel) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      part = grow(depth - 1, value * 3 + i);
      CHECK(write(channel[1], &part, sizeof part) == sizeof part);
      _exit(i);
    }
    close(channel[1]);
    CHECK(read(channel[0], &part, sizeof part) == sizeof part);
    close(channel[0]);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == i);
    sum += part;
  }
  return sum;
}

int main(void) {
  say("without threads: %d", grow(3, 1));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, spinner, NULL) == 0);
  for (int i = 0; i < 5; i++) say("with a running thread: %d", grow(1, i));
  stop = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
