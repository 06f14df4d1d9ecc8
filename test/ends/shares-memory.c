/*
 * shares-memory END: a child with the same memory that is no thread lives as long as the file END is missing, and maps
 * and unmaps all the while.
 */
#define _GNU_SOURCE
#include "check.h"
#include <sched.h>

static const char *end_file;
static volatile long turns, written;

static int live(void *nothing) {
  while (access(end_file, F_OK) != 0) {
    char *area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || !all_zero(area, 4 * PAGE)) return 1;
    memset(area, 1, 4 * PAGE);
    if (munmap(area, 4 * PAGE) != 0) return 2;
    turns++;
    struct timespec time = {0, 1000000};
    syscall(SYS_nanosleep, &time, NULL);
  }
  return nothing == NULL ? 5 : 6;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  end_file = argv[1];
  size_t size = 64 * PAGE;
  char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pid_t pid = clone(live, stack + size, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);
  CHECK(pid > 0);
  while (turns < 2) pause_ms(1);
  say("ready");
  while (access(end_file, F_OK) != 0) {
    pause_ms(1);
    written = turns;
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 5) say("the child ended with status 0x%x", status);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5 && written > 0);
  say("all right");
  return 0;
}
