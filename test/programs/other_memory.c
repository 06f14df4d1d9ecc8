/* process_vm_readv, /proc/self/mem, membarrier, mincore and protection keys of a program's own memory. */
#include <linux/membarrier.h>
#include <sys/uio.h>
#include "check.h"

int main(void) {
  char *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(area, "original");
  char text[20] = {0};
  struct iovec here = {text, 9}, there = {area, 9};
  CHECK(process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 9);
  say("process_vm_readv: %s", text);
  int fd = open("/proc/self/mem", O_RDWR);
  CHECK(fd >= 0 && pwrite(fd, "by mem", 7, (off_t)area) == 7);
  say("/proc/self/mem: %s", area);
  int commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  CHECK(commands > 0);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
  CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
  say("membarrier works");
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  strcpy(area, "parent's");
  struct iovec remote = {area, 7};
  CHECK(process_vm_readv(pid, &here, 1, &remote, 1, 0) == 7);
  say("the child's memory: %.7s", text);
  CHECK(process_vm_writev(pid, &here, 1, &remote, 1, 0) == 7);
  kill(pid, SIGKILL);
  say_ending("child", pid);
  return 0;
}
