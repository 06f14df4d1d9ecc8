/* Queued signals keep order and value, handlers see their sender, and masks hold while a handler runs. */
#include <ucontext.h>
#include "check.h"

static volatile int order[40], count, nested, depth, outer_runs;

static void collect(int unused, siginfo_t *info, void *context) {
  (void)unused, (void)context;
  CHECK(info->si_code == SI_QUEUE && info->si_pid == getpid() && info->si_uid == getuid());
  order[count++] = info->si_value.sival_int;
}
static void outer(int unused) {
  (void)unused;
  CHECK(++depth == 1);
  if (outer_runs++ == 0) {
    raise(SIGUSR1);
    raise(SIGUSR2);
  }
  say("inside: %d nested", nested);
  depth--;
}
static void inner(int unused) { (void)unused, nested++; }
static void change_result(int unused, siginfo_t *info, void *context) {
  (void)unused, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RBX] = 4242;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = collect, .sa_flags = SA_SIGINFO};
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGRTMIN);
  CHECK(sigaction(SIGRTMIN, &action, NULL) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  for (int i = 0; i < 20; i++) CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i * i}) == 0);
  CHECK(count == 0 && sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && count == 20);
  for (int i = 0; i < 20; i++) CHECK(order[i] == i * i);
  say("20 values in order");
  struct sigaction blocking = {.sa_handler = outer};
  sigaddset(&blocking.sa_mask, SIGUSR2);
  CHECK(sigaction(SIGUSR1, &blocking, NULL) == 0);
  CHECK(signal(SIGUSR2, inner) != SIG_ERR);
  raise(SIGUSR1);
  struct sigaction once = {.sa_handler = inner, .sa_flags = SA_RESETHAND};
  CHECK(sigaction(SIGHUP, &once, NULL) == 0);
  raise(SIGHUP);
  CHECK(sigaction(SIGHUP, NULL, &once) == 0);
  say("reset after one: %d, nested %d", once.sa_handler == SIG_DFL, nested);
  action.sa_sigaction = change_result;
  CHECK(sigaction(SIGTERM, &action, NULL) == 0);
  long result = 1, pid = getpid();
  __asm__ volatile("syscall" : "+b"(result) : "a"(SYS_kill), "D"(pid), "S"((long)SIGTERM) : "rcx", "r11", "memory");
  say("a handler changes a register: %ld", result);
  return 0;
}
