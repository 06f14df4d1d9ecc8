/* getpid, gettid, getppid, /proc/self, process groups and sessions agree, in threads and children. */
#include "check.h"

static void *thread_main(void *leader) {
  pid_t pid = *(pid_t *)leader;
  CHECK(getpid() == pid && gettid() != pid && tgkill(pid, gettid(), 0) == 0);
  char link[100] = {0}, wanted[100];
  CHECK(readlink("/proc/thread-self", link, sizeof link - 1) > 0);
  snprintf(wanted, sizeof wanted, "%d/task/%d", pid, gettid());
  CHECK(strcmp(link, wanted) == 0);
  return NULL;
}

static void check_self(void) {
  char link[100] = {0};
  CHECK(readlink("/proc/self", link, sizeof link - 1) > 0 && atoi(link) == getpid());
  pid_t pid = getpid();
  CHECK(gettid() == pid && syscall(SYS_getpid) == pid);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, &pid) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
  check_self();
  pid_t me = getpid(), group = getpgrp();
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(getppid() == me && getpgrp() == group);
    check_self();
    CHECK(setpgid(0, 0) == 0 && getpgrp() == getpid());
    CHECK(setsid() == -1 && errno == EPERM);
    _exit(0);
  }
  say_ending("child", pid);
  say("identities agree");
  return 0;
}
