/* Faults carry the right signal, code and address; a handler that repairs the cause lets the program go on. */
#include <setjmp.h>
#include <ucontext.h>
#include "check.h"

static char *page;
static sigjmp_buf escape;
static int last_signal, last_code;
static void *last_address;

static void note(int signal_number, siginfo_t *info, void *unused) {
  (void)unused;
  last_signal = signal_number, last_code = info->si_code, last_address = info->si_addr;
  if (signal_number == SIGSEGV && last_address == page + 123) {
    CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
    return;
  }
  siglongjmp(escape, 1);
}

#define FAULT(name, action)                                                         \
  do {                                                                              \
    if (sigsetjmp(escape, 1) == 0) {                                                \
      action;                                                                       \
    }                                                                               \
    say("%s: signal %d code %d", name, last_signal, last_code);                     \
  } while (0)

int main(void) {
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  for (int i = 0; i < 4; i++) sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL}[i], &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page[123] = 7;
  say("repaired: %d, code %d", page[123], last_code);
  CHECK(munmap(page, PAGE) == 0);
  char *gone = page;
  page = NULL;
  FAULT("unmapped", gone[45] = 1);
  CHECK(last_address == gone + 45);
  FAULT("null", *(volatile int *)0 = 1);
  CHECK(last_address == NULL);
  FAULT("non-canonical", *(volatile int *)0x8000000000000000UL = 1);
  char *code = (char *)((uintptr_t)main & ~(PAGE - 1));
  FAULT("write to code", *(volatile char *)code = 1);
  CHECK(last_address == code);
  FAULT("execute data", ((void (*)(void))(void *)&last_code)());
  FAULT("illegal instruction", __asm__ volatile("ud2"));
  FAULT("breakpoint", __asm__ volatile("int3"));
  volatile int zero = 0, ten = 10;
  FAULT("divide", ten = ten / zero);
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), 100) == 0);
  char *volatile beyond = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fileno(file), 0);
  FAULT("beyond the end of a shared file", (void)*(volatile char *)(beyond + PAGE + 5));
  CHECK(last_address == beyond + PAGE + 5);
  beyond = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
  FAULT("beyond the end of a private file", (void)*(volatile char *)(beyond + PAGE + 6));
  CHECK(last_address == beyond + PAGE + 6);
  return 0;
}
