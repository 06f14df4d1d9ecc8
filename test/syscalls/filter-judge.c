/* Says what the kernel answers to each of the filters in a file: `filter-judge FILE`. A filter is the number of its
 * instructions, 8 bytes, and the instructions. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static struct sock_filter code[65536];
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (file == NULL || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 2;
  for (uint64_t count; fread(&count, sizeof count, 1, file) == 1;) {
    if (fread(code, sizeof *code, count, file) != count) return 3;
    struct sock_fprog program = {count, code};
    /* A filter may forbid the exit: the answer goes through memory. */
    static volatile int answer;
    pid_t pid = vfork();
    if (pid == 0) {
      answer = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
      __builtin_trap();
    }
    if (waitpid(pid, NULL, 0) != pid) return 4;
    printf("%d\n", answer);
  }
  return 0;
}
