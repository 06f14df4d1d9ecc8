/* The attachments of a shared memory segment, as the kernel counts them. */
#include <sys/shm.h>
#include "check.h"

static void say_count(const char *when, int id) {
  struct shmid_ds segment;
  CHECK(shmctl(id, IPC_STAT, &segment) == 0);
  say("%s: %ld attached, made by itself %d", when, (long)segment.shm_nattch, segment.shm_cpid == getpid());
}

int main(void) {
  int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
  CHECK(id >= 0);
  say_count("new", id);
  void *one = shmat(id, NULL, 0), *two = shmat(id, NULL, SHM_RDONLY);
  CHECK(one != (void *)-1 && two != (void *)-1);
  say_count("attached twice", id);
  pid_t pid = fork();
  if (pid == 0) {
    say_count("in a child, too", id);
    _exit(0);
  }
  say_ending("child", pid);
  say_count("after it", id);
  CHECK(shmdt(one) == 0);
  say_count("once", id);
  CHECK(shmctl(id, IPC_RMID, NULL) == 0);
  say_count("removed", id);
  CHECK(shmdt(two) == 0);
  struct shmid_ds segment;
  int result = shmctl(id, IPC_STAT, &segment);
  say("gone: %d, %s", result, strerror(errno));
  return 0;
}
