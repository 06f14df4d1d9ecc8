/* A seccomp filter that answers calls with SIGSYS: with a handler that gives the result, blocked, ignored, and by default. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <ucontext.h>
#include "held_child.h"

#define DATA 7

/* Installed before the program is held: the filter is there when it moves. The calls are one that everybody makes for
   himself, one that names the caller, and one about memory. */
__attribute__((constructor(102))) static void install(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | DATA),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static const struct {
  const char *name;
  long number;
} CALLS[] = {{"uname", SYS_uname}, {"getppid", SYS_getppid}, {"mincore", SYS_mincore}};

static volatile sig_atomic_t handled;

static void handler(int number, siginfo_t *info, void *context) {
  ucontext_t *state = context;
  handled++;
  say("  signal %d code %d call %d data %d, behind the call %d, rax is the number %d", number, info->si_code,
      info->si_syscall, info->si_errno, (long long)info->si_call_addr == state->uc_mcontext.gregs[REG_RIP],
      state->uc_mcontext.gregs[REG_RAX] == info->si_syscall);
  state->uc_mcontext.gregs[REG_RAX] = -ENOTTY;
}

static void *every_call(void *unused) {
  for (unsigned i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    errno = 0;
    long result = syscall(CALLS[i].number, 0, 0, 0);
    say("%s: %ld, %s; handled %d", CALLS[i].name, result, strerror(errno), handled);
  }
  return unused;
}

int main(int argc, char **argv) {
  struct rlimit no_core = {0, 0};
  CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
  if (argc > 1) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGSYS);
    if (strstr(argv[1], "handled")) CHECK(sigaction(SIGSYS, &(struct sigaction){.sa_handler = _exit}, NULL) == 0);
    if (strstr(argv[1], "ignored")) CHECK(signal(SIGSYS, SIG_IGN) != SIG_ERR);
    if (strstr(argv[1], "blocked")) CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    struct utsname name;
    uname(&name);
    return 0;
  }
  CHECK(sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO}, NULL) == 0);
  every_call(NULL);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, every_call, NULL) == 0 && pthread_join(thread, NULL) == 0);
  const char *endings[] = {"default", "ignored", "blocked", "blocked and handled"};
  for (int i = 0; i < 4; i++) say_ending(endings[i], spawn_held(endings[i]));
  return 0;
}
