// Functions that make the futex call themselves: Atlas has rewritten their call sites, and the new ones it has not. A
// thread sleeps in one of them while the patch is applied, and is woken through others.
//
// before: "1, answered, rewritten"
// after: right "2, answered, not rewritten"

#include "stage.h"
#include <pthread.h>
#include <unistd.h>

#define WAIT_PRIVATE 128
#define WAKE_PRIVATE 129
#ifdef AFTER
#define VERSION 2
#else
#define VERSION 1
#endif

static volatile int rounds, answers;

static inline __attribute__((always_inline)) long futex(volatile int *word, long operation, long value) {
  long result;
  register long timeout asm("r10") = 0;
  asm volatile("mov $202, %%eax\n\tsyscall"
               : "=&a"(result)
               : "D"(word), "S"(operation), "d"(value), "r"(timeout)
               : "rcx", "r11", "memory");
  return result;
}

NOINLINE void sleep_until_not(int value) {
  while (rounds == value) futex(&rounds, WAIT_PRIVATE, value);
  asm volatile("" ::"i"(VERSION));
  if (VERSION == 2 && rounds == value) abort();
}

NOINLINE int wake_all(void) {
  rounds++;
  futex(&rounds, WAKE_PRIVATE, 1000);
  return VERSION;
}

/** Whether the code is what the compiler made of it. */
static int isRewritten(const unsigned char *code) {
  for (int at = 5; at < 200; at++)
    if (code[at] == 0x0f && code[at + 1] == 0x05) return code[at - 5] == 0xe9;
  return -1;
}

static void (*volatile sleeps)(int) = sleep_until_not;

static void *answer(void *none) {
  for (;;) {
    int seen = rounds;
    sleeps(seen);
    answers++;
  }
  return none;
}

void setup(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, answer, NULL);
}

void look(char *line) {
  int before = answers;
  int version = wake_all();
  for (int tries = 0; answers == before && tries < 5000; tries++) {
    usleep(1000);
    if (tries % 50 == 49) wake_all();
  }
  const char *answered = answers != before ? "answered" : "lost";
#ifdef AFTER
  const unsigned char *entry = (const unsigned char *)sleeps;
  const unsigned char *code = entry[0] == 0xe9 ? entry + 5 + *(const int *)(entry + 1) : entry;
  sprintf(line, "%d, %s, %s", version, answered, isRewritten(code) ? "rewritten" : "not rewritten");
#else
  sprintf(line, "%d, %s, %s", version, answered,
          isRewritten((const unsigned char *)sleep_until_not) ? "rewritten" : "not rewritten");
#endif
}
