/*
 * coroutine END: the first thread runs a coroutine that sleeps inside what is replaced, deep down in a stack of its own,
 * part of which was an alternate signal stack once. Compiled once per VERSION, to patch one into the other. Ends when
 * the file END exists.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif
enum { SIZE = 1 << 18, ALTERNATE = 1 << 17 };

static ucontext_t before, inside;

__attribute__((noipa)) static void sleep_deep_down(void) {
  volatile char *room = alloca(ALTERNATE + ALTERNATE / 2);
  room[0] = 1;
  usleep(400000);
}

__attribute__((noipa)) int linger(void) {
  sleep_deep_down();
  return VERSION;
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

static void run(void) {
  say("entered");
  linger();
  say("left");
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  char *stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t alternate = {.ss_sp = stack, .ss_size = ALTERNATE};
  if (stack == MAP_FAILED || sigaltstack(&alternate, NULL) != 0) return 3;
  alternate.ss_flags = SS_DISABLE;
  if (sigaltstack(&alternate, NULL) != 0) return 4;
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = SIZE;
  inside.uc_link = &before;
  makecontext(&inside, run, 0);
  say("ready");
  if (swapcontext(&before, &inside) != 0) return 5;
  while (access(argv[1], F_OK) != 0) usleep(1000);
  say("all right");
  return 0;
}
