/* A process that is not dumpable works on: with memory, threads, children, its limits, filters, and another image. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#define NEVER_HELD
#include "check.h"

static void *thread_main(void *argument) {
  static char stack[64 << 10];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  CHECK(sigaltstack(&alternate, NULL) == 0);
  alternate.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&alternate, NULL) == 0);
  return argument;
}

static void works(const char *when, int depth) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0);
  say("%s: threads", when);
  char *memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  memset(memory, 7, 64 * PAGE);
  CHECK(mprotect(memory, PAGE, PROT_READ) == 0 && munmap(memory + PAGE, 8 * PAGE) == 0);
  memory = mremap(memory, PAGE, 32 * PAGE, MREMAP_MAYMOVE);
  CHECK(memory != MAP_FAILED && memory[5] == 7 && munmap(memory, 32 * PAGE) == 0);
  int file = open("/proc/self/exe", O_RDONLY);
  if (file >= 0) {
    memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    CHECK(memory != MAP_FAILED && memcmp(memory, "\177ELF", 4) == 0 && munmap(memory, PAGE) == 0);
    close(file);
  }
  say("%s: memory", when);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = 500;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  say("%s: limits", when);
  pid_t pid = fork();
  if (pid == 0) {
    say("%s: a child, dumpable %d", when, prctl(PR_GET_DUMPABLE));
    if (depth > 0) works("in the child", depth - 1);
    _exit(0);
  }
  say_ending(when, pid);
  pid = vfork();
  if (pid == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(9);
  }
  say_ending("another image", pid);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "again") == 0) {
    say("executed again, dumpable %d", prctl(PR_GET_DUMPABLE));
    return 0;
  }
  if (argc > 1) CHECK(unshare(CLONE_NEWUSER) == 0);
  else CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
  works("not dumpable", 1);
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, code};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, 2, &program) == 0);
  say("a filter");
  execv(argv[0], (char *[]){argv[0], "again", NULL});
  return 9;
}
