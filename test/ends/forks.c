/*
 * forks END MEGABYTES: a thread that sleeps for long, and one that forks with so much memory; the child comes out of
 * the kernel where the sleeper will. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

static const char *end_file;

static void *sleeper(void *nothing) {
  pause_ms(1000000);
  return nothing;
}

static void *forker(void *turns) {
  for (long *count = turns; access(end_file, F_OK) != 0; ++*count) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      pause_ms(1);
      _exit(7);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) {
      say("child %ld ended with status 0x%x", *count, status);
      _exit(1);
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  end_file = argv[1];
  size_t size = (size_t)atoi(argv[2]) << 20;
  char *resident = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(resident != MAP_FAILED);
  for (size_t at = 0; at < size; at += PAGE) resident[at] = 1;
  pthread_t asleep, forking;
  long turns = 0;
  CHECK(pthread_create(&asleep, NULL, sleeper, NULL) == 0);
  /* Born last, moved last: what the sleeper waits at is taken away while this one forks. */
  CHECK(pthread_create(&forking, NULL, forker, &turns) == 0);
  say("ready");
  CHECK(pthread_join(forking, NULL) == 0 && turns > 0);
  say("all right");
  return 0;
}
