/* A restless process tree for tests that kill its supervisor: forks, threads, daemons, execs, stops, allocations. */
#include "check.h"

static void *busy(void *unused) {
  for (;;) {
    void *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) munmap(memory, 16 * PAGE);
    pause_ms(1);
  }
  return unused;
}

int main(void) {
  signal(SIGCHLD, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGHUP, SIG_IGN);
  pthread_t thread;
  for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, busy, NULL);
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (;;) pause();
  }
  if (fork() == 0) {
    raise(SIGSTOP);
    _exit(0);
  }
  say("restless");
  for (;;) {
    if (fork() == 0) {
      execlp("sh", "sh", "-c", "sleep 0.02 & sleep 0.01", (char *)NULL);
      _exit(1);
    }
    pause_ms(5);
  }
}
