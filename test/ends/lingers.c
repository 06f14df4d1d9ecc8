/*
 * lingers END [limit]: a thread that is nearly always inside what is replaced, and one that waits for it.
 * With a second argument the limit of address space leaves no room for a patch until the file END.lift exists. Compiled
 * once per VERSION, to patch one into the other. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif
#define PAGE 4096UL

static const char *end_file;
static struct rlimit before;

/* From version 2 on it has constants and variables of its own: a patch of several areas. */
__attribute__((noipa)) int linger(int milliseconds) {
#if VERSION > 1
  static const char *const words[] = {"some", "more", "words"};
  static int turns;
  if (words[turns++ % 3][0] == 0) return 0;
#endif
  usleep(milliseconds * 1000);
  return VERSION;
}

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void leave_no_room(void) {
  unsigned long pages;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lu", &pages) != 1) _exit(4);
  fclose(file);
  getrlimit(RLIMIT_AS, &before);
  struct rlimit limit = {pages * PAGE, before.rlim_max};
  setrlimit(RLIMIT_AS, &limit);
}

static void *lingerer(void *limited) {
  while (!exists("")) {
    if (limited != NULL && exists(".lift")) {
      setrlimit(RLIMIT_AS, &before);
      puts("lifted");
      fflush(stdout);
      limited = NULL;
    }
    if (linger(limited == NULL ? 40 : 2) < 1) _exit(5);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  end_file = argv[1];
  pthread_t thread;
  pthread_create(&thread, NULL, lingerer, argv[2]);
  usleep(1000);
  if (argc > 2) leave_no_room();
  puts("ready");
  fflush(stdout);
  pthread_join(thread, NULL);
  puts("all right");
  return 0;
}
