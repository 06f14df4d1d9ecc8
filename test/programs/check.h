/* What every test program shares: a check that names itself, and output that survives _exit. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                        \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      fprintf(stdout, "%s:%d: failed: %s (errno %d, %s)\n", __FILE_NAME__, __LINE__, #condition, \
              errno, strerror(errno));                                                          \
      fflush(stdout);                                                                           \
      _exit(99);                                                                                \
    }                                                                                           \
  } while (0)

#define say(...)         \
  do {                   \
    printf(__VA_ARGS__); \
    putchar('\n');       \
    fflush(stdout);      \
  } while (0)

#define PAGE 4096UL

static inline void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) == -1 && errno == EINTR) {
  }
}

static inline int all_zero(const void *start, size_t length) {
  const unsigned char *bytes = start;
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != 0) return 0;
  return 1;
}

/* Waits for one child and says how it ended. */
static inline void say_ending(const char *who, pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (WIFEXITED(status)) say("%s: exited %d", who, WEXITSTATUS(status));
  else say("%s: signal %d core %d", who, WTERMSIG(status), WCOREDUMP(status) != 0);
}

#ifndef NEVER_HELD
/* With ATLAS_TEST_HOLD naming a folder, the program waits before main until FOLDER/PID.go exists: the test
   moves it to another generation meanwhile. */
__attribute__((constructor)) static void hold(void) {
  const char *folder = getenv("ATLAS_TEST_HOLD");
  if (folder == NULL) return;
  char path[500];
  snprintf(path, sizeof path, "%s/%d.held", folder, getpid());
  close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  snprintf(path, sizeof path, "%s/%d.go", folder, getpid());
  while (access(path, F_OK) != 0) pause_ms(2);
  unsetenv("ATLAS_TEST_HOLD");
}
#endif
