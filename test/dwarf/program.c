/*
 * Calls `snapshot` from many kinds of frames, chosen by argv[1]. `snapshot` writes its registers and the return
 * addresses that the C library's own unwinder finds, then blocks until its input is closed, with all of
 * its callers still on the stack.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define NO_TAIL_CALL __asm__ volatile("" ::: "memory")

static void *pcs[2000];

NOINLINE void snapshot(void) {
  /* The C library's unwinder first: it loads libgcc, which must not happen between the two views. */
  int count = backtrace(pcs, 2000);
  static ucontext_t context;
  getcontext(&context);
  greg_t *r = context.uc_mcontext.gregs;
  printf("registers rax=%llx rdx=%llx rcx=%llx rbx=%llx rsi=%llx rdi=%llx rbp=%llx rsp=%llx", r[REG_RAX],
         r[REG_RDX], r[REG_RCX], r[REG_RBX], r[REG_RSI], r[REG_RDI], r[REG_RBP], r[REG_RSP]);
  printf(" r8=%llx r9=%llx r10=%llx r11=%llx r12=%llx r13=%llx r14=%llx r15=%llx rip=%llx\n", r[REG_R8],
         r[REG_R9], r[REG_R10], r[REG_R11], r[REG_R12], r[REG_R13], r[REG_R14], r[REG_R15], r[REG_RIP]);
  printf("pcs");
  for (int i = 1; i < count; i++) printf(" %lx", (unsigned long)pcs[i]);
  printf("\nready\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  NO_TAIL_CALL;
}

NOINLINE int recurse(int depth) {
  volatile char pad[24];
  pad[depth % 24] = 1;
  if (depth == 0) {
    snapshot();
    return pad[0];
  }
  int below = recurse(depth - 1);
  NO_TAIL_CALL;
  return below + pad[depth % 24];
}

NOINLINE int with_alloca(int size) {
  volatile char *block = alloca(size);
  block[size - 1] = 1;
  int below = recurse(3);
  NO_TAIL_CALL;
  return below + block[size - 1];
}

NOINLINE int with_aligned_local(int size) {
  volatile char block[256] __attribute__((aligned(128)));
  block[size % 256] = 1;
  int below = with_alloca(size);
  NO_TAIL_CALL;
  return below + block[size % 256];
}

/* Enough values alive over the call to need every callee-saved register. */
NOINLINE long with_saved_registers(long a, long b, long c, long d, long e, long f) {
  long sum = a * b + c, product = c * d + e, other = e * f + a, last = a ^ f;
  recurse(2);
  NO_TAIL_CALL;
  return sum * product + other * last + a + b + c + d + e + f;
}

static int compare(const void *a, const void *b) {
  static int calls;
  if (calls++ == 20) recurse(1);
  return *(const int *)a - *(const int *)b;
}

NOINLINE void on_signal(int signal) {
  recurse(signal % 4);
  NO_TAIL_CALL;
}

NOINLINE void signalled(int flags) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  NO_TAIL_CALL;
}

/* Interrupted at an instruction of the function itself, the very first one of it where possible. */
NOINLINE int faulting(volatile int *where) {
  int value = *where;
  NO_TAIL_CALL;
  return value + 1;
}

static void on_fault(int signal) {
  recurse(signal % 4);
  _exit(0);
}

static void *in_thread(void *argument) {
  with_aligned_local((int)(long)argument);
  return NULL;
}

/* Leaves addresses in the middle of `recurse` on the stack, as dead return addresses of earlier calls do. */
NOINLINE void with_stale_words(void) {
  volatile unsigned long stale[8];
  for (int i = 0; i < 8; i++) stale[i] = (unsigned long)recurse + 5;
  snapshot();
  stale[0] = stale[1];
}

NOINLINE __attribute__((noreturn)) void never_returns(void) {
  snapshot();
  _exit(0);
}

/* Its last instruction is the call: the return address is the first byte behind it. */
NOINLINE void ends_with_a_call(int size) {
  volatile char pad[64];
  pad[size % 64] = 1;
  never_returns();
}

/* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret: code that no module describes. */
static const unsigned char generated[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};

NOINLINE int through_generated_code(void (*callee)(void)) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, generated, sizeof generated);
  printf("generated %lx\n", (unsigned long)page);
  ((void (*)(void (*)(void)))page)(callee);
  NO_TAIL_CALL;
  return 1;
}

/* A restorer of the program's own, without call frame information: what musl's looks like. */
__asm__(".text\n.type bare_restorer,@function\nbare_restorer:\n mov $15, %rax\n syscall\n.size bare_restorer, .-bare_restorer\n");
extern void bare_restorer(void);

struct kernel_sigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  unsigned long mask;
};

NOINLINE void with_bare_restorer(void) {
  struct kernel_sigaction action = {on_signal, 0x04000000 /* SA_RESTORER */, bare_restorer, 0};
  syscall(13 /* rt_sigaction */, SIGUSR1, &action, NULL, 8);
  raise(SIGUSR1);
  NO_TAIL_CALL;
}

int main(int argc, char **argv) {
  const char *scene = argc > 1 ? argv[1] : "recursion";
  int size = argc > 2 ? atoi(argv[2]) : 40;
  if (strcmp(scene, "recursion") == 0) return recurse(size);
  if (strcmp(scene, "alloca") == 0) return with_aligned_local(size * 16);
  if (strcmp(scene, "saved-registers") == 0) return (int)with_saved_registers(1, 2, 3, 4, size, argc);
  if (strcmp(scene, "qsort") == 0) {
    int values[64];
    for (int i = 0; i < 64; i++) values[i] = (i * 37) % 64;
    qsort(values, 64, sizeof(int), compare);
    return values[size % 64];
  }
  if (strcmp(scene, "signal") == 0) signalled(0);
  if (strcmp(scene, "signal-stack") == 0) {
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, NULL);
    signalled(SA_ONSTACK);
  }
  if (strcmp(scene, "fault") == 0) {
    signal(SIGSEGV, on_fault);
    return faulting(NULL);
  }
  if (strcmp(scene, "bare-restorer") == 0) with_bare_restorer();
  if (strcmp(scene, "thread") == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, (void *)(long)(size * 4));
    pthread_join(thread, NULL);
  }
  if (strcmp(scene, "generated-code") == 0) return through_generated_code(snapshot);
  if (strcmp(scene, "generated-code-stale") == 0) return through_generated_code(with_stale_words);
  if (strcmp(scene, "stale-words") == 0) with_stale_words();
  if (strcmp(scene, "noreturn") == 0) ends_with_a_call(size);
  return 0;
}
