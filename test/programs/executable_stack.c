/* Code on the stack: a nested function's trampoline on the initial stack and on a thread's, in a program that asks for
   it, and after mprotect(PROT_GROWSDOWN) as the C library makes it for a library that asks (dlopen). */
#include "check.h"

static int apply(int (*function)(int), int value) { return function(value); }

static void *trampolines(void *base) {
  int offset = (int)(long)base;
  int add(int value) { return value + offset; }
  return (void *)(long)apply(add, 2);
}

static const char *rights(const void *at) {
  static char found[5];
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[600];
  unsigned long from, to;
  while (fgets(line, sizeof line, maps))
    if (sscanf(line, "%lx-%lx %4s", &from, &to, found) == 3 && from <= (unsigned long)at && (unsigned long)at < to) break;
  fclose(maps);
  found[3] = 0;
  return found;
}

int main(void) {
  char here;
  say("on the initial stack: %ld, %s", (long)trampolines((void *)40L), rights(&here));
  pthread_t thread;
  void *result;
  CHECK(pthread_create(&thread, NULL, trampolines, (void *)50L) == 0 && pthread_join(thread, &result) == 0);
  say("on a thread's stack: %ld", (long)result);
  char *page = (char *)((uintptr_t)&here & ~(PAGE - 1));
  say("grows down: %d", mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_GROWSDOWN) == 0 ? 0 : errno);
  say("without execution: %s, %s below", rights(&here), rights(page - 4 * PAGE));
  say("and with: %d", mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN) == 0 ? 0 : errno);
  say("again: %ld, %s", (long)trampolines((void *)60L), rights(&here));
  char *area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("elsewhere: %d", mprotect(area, PAGE, PROT_READ | PROT_GROWSDOWN) == 0 ? 0 : errno);
  return 0;
}
