/* Exit codes are truncated to eight bits, handlers of exit run, and a last line without newline is kept. */
#include "check.h"

static void last(void) { printf("at exit"); }

int main(void) {
  for (int code = 0; code <= 512; code += 51) {
    pid_t pid = fork();
    if (pid == 0) _exit(code);
    say_ending("child", pid);
  }
  atexit(last);
  exit(300 + 3);
}
