/* A parent sees its child stop and continue, several times and with threads, and kills it while stopped. */
#include "check.h"

static void *spinner(void *counter) {
  for (;;) ++*(volatile long *)counter;
  return NULL;
}

static void expect(pid_t pid, int options, const char *what) {
  int status;
  CHECK(waitpid(pid, &status, options) == pid);
  if (WIFSTOPPED(status)) say("%s: stopped by %d", what, WSTOPSIG(status));
  else if (WIFCONTINUED(status)) say("%s: continued", what);
  else if (WIFSIGNALED(status)) say("%s: killed by %d", what, WTERMSIG(status));
  else say("%s: exited %d", what, WEXITSTATUS(status));
}

int main(void) {
  volatile long *counter = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, spinner, (void *)counter);
    for (;;) pause();
  }
  while (*counter == 0) pause_ms(1);
  for (int round = 0; round < 3; round++) {
    kill(pid, round == 1 ? SIGTSTP : SIGSTOP);
    expect(pid, WUNTRACED, "stop");
    pause_ms(5);
    long before = *counter;
    pause_ms(30);
    say("stands still: %d", *counter == before);
    kill(pid, SIGCONT);
    expect(pid, WCONTINUED, "continue");
    before = *counter;
    while (*counter == before) pause_ms(1);
    say("runs again");
  }
  kill(pid, SIGSTOP);
  expect(pid, WUNTRACED, "stop");
  kill(pid, SIGKILL);
  expect(pid, 0, "end");
  pid = fork();
  if (pid == 0) {
    raise(SIGSTOP);
    _exit(4);
  }
  expect(pid, WUNTRACED, "stops itself");
  kill(pid, SIGCONT);
  expect(pid, 0, "goes on");
  return 0;
}
