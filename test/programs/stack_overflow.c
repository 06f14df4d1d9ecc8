/* A handler on the alternate stack recovers from a stack overflow, in the main thread and in another, repeatedly. */
#include <setjmp.h>
#include "check.h"

static __thread sigjmp_buf escape;
static __thread char *alternate;
static void handler(int unused, siginfo_t *info, void *context) {
  (void)unused, (void)info, (void)context;
  char here;
  CHECK(&here >= alternate && &here < alternate + 65536);
  siglongjmp(escape, 1);
}

__attribute__((noinline)) static int descend(volatile char *above) {
  volatile char frame[2000];
  frame[0] = above[0];
  return frame[0] == 1 ? 0 : descend(frame) + frame[1000];
}

static void *overflow(void *who) {
  alternate = malloc(65536);
  stack_t stack = {.ss_sp = alternate, .ss_size = 65536};
  CHECK(sigaltstack(&stack, NULL) == 0);
  for (volatile int round = 0; round < 3; round++) {
    char start = 0;
    if (sigsetjmp(escape, 1) == 0) descend(&start);
    say("%s: recovered", (char *)who);
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0 && now.ss_sp == alternate);
  }
  return NULL;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  overflow("main");
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, overflow, "thread") == 0 && pthread_join(thread, NULL) == 0);
  return 0;
}
