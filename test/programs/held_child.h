/* Children that execute the program anew, so that they are held before their main too (check.h), and moved like it. */
#pragma once
#include "check.h"

static const char *hold_folder;

/* Before the constructor of check.h, which forgets the folder. With PARENT_STAYS only the children are held: their
   parent's calls are native ones, which nobody orders after what is done to the children. */
__attribute__((constructor(101))) static void remember_folder(int argc, char **argv) {
  (void)argv;
  if ((hold_folder = getenv("ATLAS_TEST_HOLD")) == NULL) return;
  hold_folder = strdup(hold_folder);
#ifdef PARENT_STAYS
  if (argc == 1) unsetenv("ATLAS_TEST_HOLD");
#endif
  (void)argc;
}

/* In a child: the program again, with `argument`, after it has been moved. */
__attribute__((noreturn)) static inline void become_held(const char *argument) {
  if (hold_folder) setenv("ATLAS_TEST_HOLD", hold_folder, 1);
  execl("/proc/self/exe", "held", argument, NULL);
  _exit(127);
}

static inline pid_t spawn_held(const char *argument) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) become_held(argument);
  return pid;
}

/* A wait with a deadline: what is never told is a difference like any other. */
static inline int told_within(long ms, pid_t pid, int *status, int options) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    pid_t told = waitpid(pid, status, options | WNOHANG);
    CHECK(told == 0 || told == pid);
    if (told == pid) return 1;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
  return 0;
}
