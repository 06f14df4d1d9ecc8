/* Once a child's stop is told, none of its threads runs; once it is continued, all do. */
#define PARENT_STAYS
#include "held_child.h"

#define THREADS 16
#define ROUNDS 8
#define MOMENTS 20000

static volatile unsigned long *counts;

static void *spin(void *own) {
  volatile unsigned long *count = own;
  for (;;) ++*count;
  return NULL;
}

int main(int argc, char **argv) {
  char path[] = "/tmp/atlas-test-stop-XXXXXX";
  int fd = argc > 1 ? open(argv[1], O_RDWR) : mkstemp(path);
  CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
  counts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(counts != MAP_FAILED);
  if (argc > 1) {
    pthread_t thread;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&thread, NULL, spin, (void *)(counts + i * 8)) == 0);
    for (;;) pause();
  }
  pid_t pid = spawn_held(path);
  for (int i = 0; i < THREADS; i++)
    while (counts[i * 8] == 0) pause_ms(1);
  const int signals[] = {SIGSTOP, SIGTSTP};
  for (int kind = 0; kind < 2; kind++) {
    int ran_on = 0, stopped = 0, continued = 0, going = 0;
    for (int round = 0; round < ROUNDS; round++) {
      int status = 0;
      unsigned long before[THREADS];
      CHECK(kill(pid, signals[kind]) == 0);
      if (!told_within(5000, pid, &status, WUNTRACED)) continue;
      CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == signals[kind]);
      stopped++;
      for (int i = 0; i < THREADS; i++) before[i] = counts[i * 8];
      for (int moment = 0; moment < MOMENTS; moment++)
        for (int i = 0; i < THREADS; i++) ran_on += counts[i * 8] != before[i];
      pause_ms(3);
      for (int i = 0; i < THREADS; i++) ran_on += counts[i * 8] != before[i];
      CHECK(kill(pid, SIGCONT) == 0);
      continued += told_within(5000, pid, &status, WCONTINUED) && WIFCONTINUED(status);
      for (int i = 0; i < THREADS; i++) {
        for (int ms = 0; ms < 5000 && counts[i * 8] == before[i]; ms++) pause_ms(1);
        going += counts[i * 8] != before[i];
      }
    }
    say("signal %d: %d times stopped, continued %d, threads that went on %d; ran on %d", signals[kind], stopped,
        continued, going, ran_on > 0);
  }
  CHECK(kill(pid, SIGKILL) == 0);
  say_ending("child", pid);
  unlink(path);
  return 0;
}
