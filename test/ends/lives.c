/*
 * lives END MILLISECONDS: three children with three threads each, that live for so long, or until they are killed; who
 * ends gets a successor. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

enum { CHILDREN = 3 };

static void *spin(void *nothing) {
  for (;;) CHECK(syscall(SYS_getppid) > 0);
  return nothing;
}

static void *doze(void *nothing) {
  for (;;) pause_ms(1);
  return nothing;
}

static pid_t begin(long milliseconds) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid > 0) return pid;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, spin, NULL) == 0 && pthread_create(&thread, NULL, doze, NULL) == 0);
  pause_ms(milliseconds);
  _exit(0);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  long milliseconds = atol(argv[2]);
  pid_t children[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) children[i] = begin(milliseconds + i);
  say("ready");
  while (access(argv[1], F_OK) != 0) {
    for (int i = 0; i < CHILDREN; i++) {
      int status;
      if (waitpid(children[i], &status, WNOHANG) != children[i]) continue;
      CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0) || WTERMSIG(status) == SIGKILL);
      children[i] = begin(milliseconds + i);
    }
    pause_ms(1);
  }
  for (int i = 0; i < CHILDREN; i++) CHECK(kill(children[i], SIGKILL) == 0 && waitpid(children[i], NULL, 0) > 0);
  say("all right");
  return 0;
}
