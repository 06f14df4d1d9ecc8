/* Futex and memory calls by every kind of call site: their results, and whether they stop the caller. */
#include "check.h"
#include <linux/futex.h>
#include <sys/resource.h>

#define ROUNDS 2000

static long stops(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
  return usage.ru_nvcsw;
}

/* A stop by a tracer is a voluntary context switch. */
#define STOPPING(what, statement)                                               \
  do {                                                                          \
    long before = stops();                                                      \
    for (int i = 0; i < ROUNDS; i++) statement;                                 \
    say("%s: %s", what, stops() - before < ROUNDS / 10 ? "few stops" : "many"); \
  } while (0)

static void map_and_unmap(void) {
  char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED && p[0] == 0 && p[2 * PAGE - 1] == 0);
  p[0] = p[2 * PAGE - 1] = 1;
  CHECK(munmap(p, 2 * PAGE) == 0);
}

/* The kernel keeps all registers but rax, rcx and r11; so must what stands in for it. */
static void registers_kept(long number, long first, long second, long third, long expected) {
  register long r10 __asm__("r10") = 0x1010, r8 __asm__("r8") = 0x808, r9 __asm__("r9") = 0x909;
  long rdi = first, rsi = second, rdx = third, result = number;
  switch (number) {
    case SYS_munmap:
      __asm__ volatile("mov $11, %%eax\n\tsyscall"
                       : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)::"rcx", "r11", "memory");
      break;
    case SYS_mprotect:
      __asm__ volatile("mov $10, %%eax\n\tsyscall"
                       : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)::"rcx", "r11", "memory");
      break;
    default:
      __asm__ volatile("mov $28, %%eax\n\tsyscall"
                       : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)::"rcx", "r11", "memory");
  }
  CHECK(result == expected);
  CHECK(rdi == first && rsi == second && rdx == third && r10 == 0x1010 && r8 == 0x808 && r9 == 0x909);
}

/* As musl does with the stack of a thread that ends. */
static void unmap_under_the_stack_pointer(void) {
  char *stack = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(stack != MAP_FAILED);
  long result;
  __asm__ volatile(
      "mov %%rsp, %%rbx\n\t"
      "mov %%rdx, %%rsp\n\t"
      "mov $11, %%eax\n\t"
      "syscall\n\t"
      "mov %%rbx, %%rsp"
      : "=a"(result)
      : "D"(stack), "S"(4 * PAGE), "d"(stack + 3 * PAGE)
      : "rbx", "rcx", "r11", "memory");
  CHECK(result == 0);
  unsigned char resident;
  CHECK(mincore(stack, PAGE, &resident) == -1 && errno == ENOMEM);
}

/* Nothing below the red zone is promised to survive; what is above the pointer is. */
static void drop_below_the_stack_pointer(void) {
  char *stack = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(stack != MAP_FAILED);
  memset(stack, 7, 4 * PAGE);
  long result;
  __asm__ volatile(
      "mov %%rsp, %%rbx\n\t"
      "lea 128(%%rdi,%%rsi), %%rsp\n\t"
      "mov $28, %%eax\n\t"
      "syscall\n\t"
      "mov %%rbx, %%rsp"
      : "=a"(result)
      : "D"(stack), "S"(3 * PAGE), "d"((long)MADV_DONTNEED)
      : "rbx", "rcx", "r11", "memory");
  CHECK(result == 0 && all_zero(stack, 3 * PAGE) && stack[3 * PAGE] == 7);
  CHECK(munmap(stack, 4 * PAGE) == 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn, cleaned;
static long sum;

static void *contend(void *unused) {
  (void)unused;
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&lock);
    sum++;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void *alternate(void *me) {
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&lock);
    while (turn != (long)me) pthread_cond_wait(&condition, &lock);
    turn = !turn;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void in_threads(void *(*body)(void *), int count) {
  pthread_t threads[4];
  for (long i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  for (int i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void clean(int *mark) { cleaned = *mark; }

/* Cancellation finds this cleanup by unwinding through the C library's frames, from the call site outwards. */
static void *wait_forever(void *unused) {
  (void)unused;
  __attribute__((cleanup(clean))) int mark = 5;
  pthread_mutex_lock(&lock);
  turn = 7;
  while (turn == 7) pthread_cond_wait(&condition, &lock);
  return NULL;
}

static void cancel_in_a_wait(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wait_forever, NULL) == 0);
  for (int there = 0; !there;) {
    pthread_mutex_lock(&lock);
    there = turn == 7;
    pthread_mutex_unlock(&lock);
  }
  pause_ms(20);
  CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
}

int main(void) {
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  STOPPING("mmap, munmap", map_and_unmap());
  STOPPING("madvise", {
    page[0] = 1;
    CHECK(madvise(page, PAGE, MADV_DONTNEED) == 0 && page[0] == 0);
  });
  STOPPING("mprotect", CHECK(mprotect(page, PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ) == 0));
  int word = 0;
  STOPPING("syscall(SYS_futex)", CHECK(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0));
  pthread_barrier_t barrier;
  CHECK(pthread_barrier_init(&barrier, NULL, 1) == 0);
  STOPPING("barrier", pthread_barrier_wait(&barrier));
  CHECK(syscall(SYS_getpid) == getpid() && syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) == -1);
  CHECK(errno == EAGAIN);

  registers_kept(SYS_mprotect, (long)page, PAGE, PROT_READ, 0);
  registers_kept(SYS_madvise, (long)page, PAGE, MADV_DONTNEED, 0);
  registers_kept(SYS_munmap, (long)page, PAGE, 3, 0);
  registers_kept(SYS_munmap, 1, PAGE, 3, -EINVAL);
  unmap_under_the_stack_pointer();
  drop_below_the_stack_pointer();

  in_threads(contend, 4);
  in_threads(alternate, 2);
  say("counted %ld", sum);
  cancel_in_a_wait();
  say("cleaned up: %d", cleaned);
  return 0;
}
