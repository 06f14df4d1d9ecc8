/*
 * waits END call: a thread spins until the file END.wait appears, and then waits for a child (a call that its home
 * makes for it when it lives elsewhere), which ends when the file END.wake appears.
 * waits END poll: a thread sleeps 1.5 s at a time. Both end when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"
#include <poll.h>

static const char *end_file;

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void *waiter(void *child) {
  while (!exists(".wait")) {
  }
  say("waiting");
  int status;
  CHECK(waitpid((pid_t)(intptr_t)child, &status, 0) == (pid_t)(intptr_t)child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
  return NULL;
}

static void *long_poller(void *nothing) {
  while (!exists("")) CHECK(poll(NULL, 0, 1500) == 0);
  return nothing;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  end_file = argv[1];
  pthread_t thread;
  if (strcmp(argv[2], "poll") == 0) {
    CHECK(pthread_create(&thread, NULL, long_poller, NULL) == 0);
  } else {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      while (!exists(".wake")) pause_ms(5);
      _exit(9);
    }
    CHECK(pthread_create(&thread, NULL, waiter, (void *)(intptr_t)child) == 0);
  }
  say("ready");
  CHECK(pthread_join(thread, NULL) == 0);
  while (!exists("")) pause_ms(5);
  say("all right");
  return 0;
}
