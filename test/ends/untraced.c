/*
 * A child made by clone3 with CLONE_UNTRACED is a child like others: it has memory of its own, and its calls work.
 */
#define _GNU_SOURCE
#include "check.h"
#include <linux/sched.h>
#include <sched.h>

int main(void) {
  int *value = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *value = 1;
  struct clone_args args = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &args, sizeof args);
  CHECK(pid >= 0);
  if (pid == 0) {
    *value = 2;
    char *area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) _exit(1);
    area = mremap(area, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    if (area == MAP_FAILED || munmap(area, 8 * PAGE) != 0) _exit(2);
    _exit(7);
  }
  say_ending("child", (pid_t)pid);
  say("the parent's value: %d", *value);
  return 0;
}
