/* A daemon forks twice, its parents exit, and it works on and reports over a pipe. */
#include "check.h"

int main(void) {
  int channel[2];
  CHECK(pipe(channel) == 0);
  pid_t first = fork();
  if (first == 0) {
    CHECK(setsid() == getpid());
    if (fork() != 0) _exit(0);
    while (getppid() == getpgrp()) pause_ms(1);
    int facts[3] = {getpid() != getsid(0), getppid() != getpgrp(), 0};
    char *memory = malloc(1 << 20);
    memset(memory, 1, 1 << 20);
    facts[2] = memory[12345];
    CHECK(write(channel[1], facts, sizeof facts) == sizeof facts);
    _exit(0);
  }
  say_ending("first child", first);
  close(channel[1]);
  int facts[3] = {0};
  CHECK(read(channel[0], facts, sizeof facts) == sizeof facts);
  say("daemon: no session leader %d, parent gone %d, memory works %d", facts[0], facts[1], facts[2]);
  CHECK(read(channel[0], facts, 1) == 0);
  say("daemon gone; no child left: %d %d", waitpid(-1, NULL, 0), errno == ECHILD);
  return 0;
}
