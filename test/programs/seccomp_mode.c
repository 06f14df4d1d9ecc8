/* What a program is told of its own seccomp filters, before it installs one and after. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include "check.h"

static void say_mode(const char *when) {
  errno = 0;
  int mode = prctl(PR_GET_SECCOMP);
  say("%s: mode %d, %s", when, mode, strerror(errno));
}

int main(void) {
  say_mode("before");
  say("privileges: %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL);
  say("strict mode with a flag: %ld, %s", result, strerror(errno));
  pid_t pid = fork();
  if (pid == 0) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    say_mode("after");
    _exit(0);
  }
  say_ending("child", pid);
  pid = fork();
  if (pid == 0) {
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    syscall(SYS_exit, 4);
  }
  say_ending("strict", pid);
  say_mode("at last");
  return 0;
}
