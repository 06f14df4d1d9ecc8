/* Shared memory by shm_open, memfd_create, System V and MAP_SHARED|MAP_ANONYMOUS is shared between processes. */
#include <sys/shm.h>
#include "check.h"

static void exchange(const char *who, char *memory) {
  CHECK(memory != MAP_FAILED);
  strcpy(memory, "parent");
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(strcmp(memory, "parent") == 0);
    strcpy(memory, "child");
    _exit(0);
  }
  say_ending(who, pid);
  say("%s: %s", who, memory);
}

int main(void) {
  char name[50];
  snprintf(name, sizeof name, "/atlas-test-%d", getpid());
  int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
  CHECK(fd >= 0 && shm_unlink(name) == 0 && ftruncate(fd, PAGE) == 0);
  exchange("shm_open", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  fd = memfd_create("test", MFD_CLOEXEC);
  CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
  exchange("memfd", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
  CHECK(id >= 0);
  char *attached = shmat(id, NULL, 0);
  exchange("System V", attached);
  char *second = shmat(id, NULL, SHM_RDONLY);
  say("attached twice: %s", second);
  CHECK(shmdt(attached) == 0 && shmdt(second) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
  exchange("anonymous", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  return 0;
}
