/*
 * executes END: a program that executes itself over and over, now and then by another thread than the first, until the
 * file END.steady exists. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

static char **arguments;

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", arguments[1], suffix);
  return access(path, F_OK) == 0;
}

static void *execute(void *nothing) {
  execv("/proc/self/exe", arguments);
  CHECK(nothing != NULL);
  return nothing;
}

static void *bystander(void *nothing) {
  for (;;) pause_ms(1);
  return nothing;
}

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  static char turn[20];
  char *next[] = {argv[0], argv[1], turn, NULL};
  arguments = next;
  long turns = argc > 2 ? atol(argv[2]) : 0;
  snprintf(turn, sizeof turn, "%ld", turns + 1);
  if (turns == 0) say("ready");
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, bystander, NULL) == 0);
  pause_ms(1 + turns % 3);
  if (!exists(".steady")) {
    if (turns % 2 == 0) execute(NULL);
    CHECK(pthread_create(&thread, NULL, execute, NULL) == 0 && pthread_join(thread, NULL) == 0);
  }
  say("steady");
  while (!exists("")) pause_ms(5);
  say("all right");
  _exit(0);
}
