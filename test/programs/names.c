/* Thread names, dumpability, parent-death signal and subreaper by prctl. */
#include <sys/prctl.h>
#include "check.h"

static void *named(void *unused) {
  CHECK(pthread_setname_np(pthread_self(), "a-worker") == 0);
  char name[32] = {0};
  CHECK(prctl(PR_GET_NAME, name) == 0);
  say("thread: %s", name);
  return unused;
}

int main(void) {
  char name[32] = {0};
  CHECK(prctl(PR_GET_NAME, name) == 0);
  say("process: %s", name);
  CHECK(prctl(PR_SET_NAME, "a name that is too long") == 0 && prctl(PR_GET_NAME, name) == 0);
  say("renamed: %s", name);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, named, NULL) == 0 && pthread_join(thread, NULL) == 0);
  say("dumpable: %d", prctl(PR_GET_DUMPABLE));
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      pause_ms(20);
      _exit(7);
    }
    _exit(0);
  }
  say_ending("child", pid);
  int status;
  CHECK(wait(&status) > 0);
  say("adopted grandchild: %d", WEXITSTATUS(status));
  pid = fork();
  if (pid == 0) {
    pid_t inner = fork();
    if (inner == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    }
    pause_ms(50);
    _exit(0);
  }
  say_ending("parent", pid);
  CHECK(wait(&status) > 0);
  say("orphan by signal %d", WTERMSIG(status));
  return 0;
}
