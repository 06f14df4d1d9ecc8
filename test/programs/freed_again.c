/* Memory that is freed and used again, in all the ways that allocators do: always zero, never somebody else's. */
#include "check.h"
#include <sys/time.h>

#define MB (1UL << 20)

static volatile sig_atomic_t alarms;

static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

static char *map(size_t length, int flags, int fd) {
  char *area = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);
  CHECK(area != MAP_FAILED);
  return area;
}

static size_t resident(char *area, size_t length) {
  unsigned char *pages = malloc(length / PAGE);
  size_t count = 0;
  CHECK(mincore(area, length, pages) == 0);
  for (size_t i = 0; i < length / PAGE; i++) count += pages[i] & 1;
  free(pages);
  return count;
}

/* Pieces of all sizes, again and again, with holes among the pages. */
static void churn(char *area, size_t length, int advice, unsigned rounds) {
  unsigned random = 12345;
  for (unsigned round = 0; round < rounds; round++) {
    random = random * 1103515245 + 12345;
    size_t at = random % (length / PAGE) * PAGE;
    size_t most = length - at < 3 * MB ? length - at : 3 * MB;
    size_t size = (random >> 8) % (most / PAGE) * PAGE + PAGE;
    for (size_t page = 0; page < size; page += PAGE * (1 + round % 3)) area[at + page + round % PAGE] = 1;
    char before = at > 0 ? (area[at - 1] = 3) : 3, after = at + size < length ? (area[at + size] = 4) : 4;
    CHECK(madvise(area + at, size, advice) == 0);
    if (advice == MADV_DONTNEED) CHECK(all_zero(area + at, size));
    CHECK((at == 0 || area[at - 1] == before) && (at + size == length || area[at + size] == after));
  }
}

static void *churner(void *area) {
  churn(area, 8 * MB, MADV_DONTNEED, 100);
  return NULL;
}

/* Something else in the middle of a long range, with ordinary memory for many megabytes around it. */
static void long_range(void) {
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), MB) == 0);
  char *wide = mmap((void *)(1UL << 41), 96 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(wide == (char *)(1UL << 41));
  char *middle = wide + 24 * MB;
  CHECK(mmap(middle, MB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(file), 0) == middle);
  memset(wide, 6, 24 * MB), memset(middle, 's', MB), memset(middle + MB, 6, 23 * MB);
  CHECK(madvise(wide + 15 * MB, 18 * MB, MADV_DONTNEED) == 0);
  char byte;
  CHECK(pread(fileno(file), &byte, 1, 5) == 1);
  say("in the middle: %c %c, around it: %d %d", middle[5], byte, all_zero(wide + 15 * MB, 9 * MB),
      all_zero(middle + MB, 8 * MB));
  CHECK(wide[15 * MB - 1] == 6 && wide[33 * MB] == 6);
  CHECK(munmap(wide, 96 * MB) == 0);
}

int main(void) {
  long_range();
  char *area = map(200 * MB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  churn(area, 8 * MB, MADV_DONTNEED, 200);
  churn(area, 8 * MB, MADV_FREE, 50);
  say("churned");

  memset(area, 1, 200 * MB);
  for (size_t at = 0; at < 200 * MB; at += MB) CHECK(madvise(area + at, MB, MADV_DONTNEED) == 0);
  say("given back, but for 32 MB: %d", resident(area, 200 * MB) <= 8192);
  say("zero: %d", all_zero(area, 200 * MB));
  CHECK(madvise(area, 200 * MB, MADV_DONTNEED) == 0);
  churn(area + 100 * MB, 64 * MB, MADV_DONTNEED, 100);
  say("churned elsewhere");

  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churner, area + i * 8 * MB) == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  say("churned by threads");

  /* What is not private and anonymous keeps what it holds. */
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), MB) == 0);
  char *shared = map(MB, MAP_SHARED, fileno(file)), *common = map(MB, MAP_SHARED | MAP_ANONYMOUS, -1);
  memset(shared, 's', MB);
  memset(common, 'c', MB);
  CHECK(madvise(shared, MB, MADV_DONTNEED) == 0 && madvise(common, MB, MADV_DONTNEED) == 0);
  char byte;
  CHECK(pread(fileno(file), &byte, 1, MB - 1) == 1);
  say("shared memory stays: %c %c %c", shared[0], byte, common[MB - 1]);
  char *read_only = mmap(NULL, MB, PROT_READ, MAP_PRIVATE, fileno(file), 0);
  CHECK(madvise(read_only, MB, MADV_DONTNEED) == 0);
  say("a file's private pages stay: %c", read_only[5]);
  /* The same places with something else there. */
  CHECK(mmap(area, MB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(file), 0) == area);
  CHECK(madvise(area, 2 * MB, MADV_DONTNEED) == 0);
  say("mapped over: %c, behind: %d", area[MB - 1], all_zero(area + MB, MB));
  CHECK(mmap(area, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
  say("mapped over again: %d", all_zero(area, MB));

  memset(area, 2, 4 * MB);
  CHECK(mprotect(area + MB, MB, PROT_NONE) == 0 && mprotect(area + 2 * MB, MB, PROT_READ) == 0);
  CHECK(madvise(area, 4 * MB, MADV_DONTNEED) == 0);
  CHECK(mprotect(area + MB, MB, PROT_READ) == 0);
  say("whatever its protection: %d", all_zero(area, 4 * MB));

  memset(area + 8 * MB, 5, MB);
  CHECK(mlock(area + 8 * MB, 16 * PAGE) == 0);
  int result = madvise(area + 8 * MB, 16 * PAGE, MADV_DONTNEED);
  say("locked memory: %d, %d", result == 0 ? 0 : errno, area[8 * MB]);
  CHECK(munlock(area + 8 * MB, 16 * PAGE) == 0 && madvise(area + 8 * MB, MB, MADV_DONTNEED) == 0);
  say("unlocked: %d", all_zero(area + 8 * MB, MB));

  /* The heap, up and down, and in a child. */
  char *heap = sbrk(0);
  for (int round = 0; round < 200; round++) {
    size_t size = (1 + round * 37 % 300) * PAGE + round;
    CHECK(sbrk(size) == heap);
    CHECK(all_zero((char *)(((uintptr_t)heap + PAGE - 1) & ~(PAGE - 1)), size - PAGE));
    memset(heap, round, size);
    CHECK(sbrk(-(intptr_t)size) == heap + size && sbrk(0) == heap);
    if (round % 50 == 0) {
      pid_t pid = fork();
      if (pid == 0) {
        CHECK(sbrk(MB) == heap && all_zero((char *)(((uintptr_t)heap + PAGE - 1) & ~(PAGE - 1)), MB - PAGE));
        churn(area + 16 * MB, 4 * MB, MADV_DONTNEED, 20);
        _exit(3);
      }
      say_ending("child", pid);
    }
  }
  say("the heap is where it was");

  /* Signals that come while memory is being freed. */
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
  churn(area + 32 * MB, 32 * MB, MADV_DONTNEED, 100);
  while (alarms < 5) churn(area + 32 * MB, MB, MADV_DONTNEED, 10);
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  say("churned under signals");
  return 0;
}
