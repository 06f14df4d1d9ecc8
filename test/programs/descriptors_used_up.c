/* All descriptors that the limit allows are in use: fork and memory calls work nevertheless. */
#include "check.h"
#include <sys/resource.h>

int main(void) {
  struct rlimit limit = {64, 64};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  int opened = 0;
  while (dup(1) >= 0) opened++;
  CHECK(errno == EMFILE);
  say("used up: %d", opened > 32);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    char *memory = malloc(1 << 20);
    memset(memory, 7, 1 << 20);
    _exit(dup(1) < 0 && errno == EMFILE ? memory[4096] : 1);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  say("child: %d", WEXITSTATUS(status));
  return 0;
}
