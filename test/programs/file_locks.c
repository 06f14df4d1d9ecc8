/* Record locks belong to the process, open-file locks to the description, flock to the description. */
#include <sys/file.h>
#include "check.h"

static int try_lock(int fd, int command) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  return fcntl(fd, command, &lock) == 0;
}

static void *same_process(void *fd) {
  say("record lock in another thread of the owner: %d", try_lock(*(int *)fd, F_SETLK));
  return NULL;
}

int main(void) {
  char path[] = "/tmp/atlas-test-lock-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && try_lock(fd, F_SETLK));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, same_process, &fd) == 0 && pthread_join(thread, NULL) == 0);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    CHECK(fcntl(fd, F_GETLK, &lock) == 0);
    say("the owner is the parent: %d", lock.l_pid == parent);
    say("record lock in the child: %d", try_lock(fd, F_SETLK));
    _exit(0);
  }
  say_ending("child", pid);
  CHECK(flock(fd, LOCK_EX) == 0);
  int second = open(path, O_RDWR | O_CLOEXEC);
  say("flock of another description: %d", flock(second, LOCK_EX | LOCK_NB));
  CHECK(close(second) == 0);
  second = open(path, O_RDWR | O_CLOEXEC);
  CHECK(try_lock(second, F_OFD_SETLK) == 1 || errno == EAGAIN);
  say("record locks fall when any descriptor closes: %d", close(second) == 0);
  pid = fork();
  if (pid == 0) _exit(try_lock(fd, F_SETLK));
  say_ending("child gets the lock", pid);
  unlink(path);
  return 0;
}
