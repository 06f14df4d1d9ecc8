/* Locks of every kind are kept across execve, and so are they when an execve fails. */
#include <sys/file.h>
#include "check.h"

static char path[] = "/tmp/atlas-test-exec-lock-XXXXXX";

/* Another process asks for what the descriptor's file has locked. */
static void say_locks(const char *when, const char *file, pid_t owner) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open(file, O_RDWR);
    for (int start = 0; start <= 20; start += 10) {
      struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 10};
      CHECK(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0);
      say("%s, at %d: %s, by its owner %d", when, start, lock.l_type == F_UNLCK ? "free" : "locked",
          lock.l_pid == owner);
    }
    say("%s, flock: %d", when, flock(fd, LOCK_EX | LOCK_NB));
    _exit(0);
  }
  CHECK(waitpid(pid, NULL, 0) == pid);
}

static void *exec_from_a_thread(void *argument) {
  execl("/proc/self/exe", "locks", "thread", argument, NULL);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc == 1) {
    int fd = mkstemp(path);
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10}, open_file = record;
    open_file.l_start = 10;
    CHECK(fcntl(fd, F_SETLK, &record) == 0 && fcntl(fd, F_OFD_SETLK, &open_file) == 0 && flock(fd, LOCK_EX) == 0);
    say_locks("before", path, getpid());
    execl("/nonexistent", "x", NULL);
    say_locks("after a failure", path, getpid());
    pid_t pid = fork();
    if (pid == 0) {
      /* Its image cannot be loaded: told late in execve. */
      char *empty = "/dev/null";
      execl(empty, empty, NULL);
      _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    execl("/proc/self/exe", "locks", "once", path, NULL);
    return 1;
  }
  say_locks(argv[1], argv[2], getpid());
  if (strcmp(argv[1], "once") == 0) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, exec_from_a_thread, argv[2]) == 0);
    pthread_join(thread, NULL);
    return 1;
  }
  unlink(argv[2]);
  return 0;
}
