/* A child that dies by a signal leaves the status that it leaves natively, with core dumps off. */
#include <sys/resource.h>
#include "check.h"

int main(void) {
  struct rlimit none = {0, 0};
  CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
  static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE,
                                SIGALRM, SIGTERM, SIGUSR1, SIGBUS, SIGSYS, SIGXCPU, SIGTRAP, 34, 64};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    char who[40];
    snprintf(who, sizeof who, "raise %d", signals[i]);
    pid_t pid = fork();
    if (pid == 0) {
      raise(signals[i]);
      _exit(1);
    }
    say_ending(who, pid);
  }
  pid_t pid = fork();
  if (pid == 0) *(volatile int *)8 = 1;
  say_ending("null write", pid);
  pid = fork();
  if (pid == 0) __asm__ volatile("ud2");
  say_ending("ud2", pid);
  pid = fork();
  if (pid == 0) __asm__ volatile("int3");
  say_ending("int3", pid);
  pid = fork();
  if (pid == 0) __asm__ volatile("hlt");
  say_ending("hlt", pid);
  pid = fork();
  if (pid == 0) __asm__ volatile("xor %%ecx,%%ecx; xor %%edx,%%edx; mov $1,%%eax; idiv %%ecx" ::: "eax", "ecx", "edx");
  say_ending("divide by zero", pid);
  return 0;
}
