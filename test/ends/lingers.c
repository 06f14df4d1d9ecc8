/*
 * lingers END [address-space|areas]: a thread that is nearly always inside what is replaced, and one that waits for it.
 * With a second argument there is no room for a patch until the file END.lift exists. Compiled once per VERSION, to
 * patch one into the other. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif
#define PAGE 4096UL

static const char *end_file;
static struct rlimit before;
static char *areas;
static const size_t areas_size = 140000 * PAGE;

__attribute__((noipa)) int linger(int milliseconds) {
  usleep(milliseconds * 1000);
  return VERSION;
}

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void leave_no_room(const char *what) {
  if (strcmp(what, "areas") == 0) {
    areas = mmap(NULL, areas_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t at = PAGE; at < areas_size; at += 2 * PAGE)
      if (mprotect(areas + at, PAGE, PROT_READ) != 0) break;
    /* A protection that splits an area needs two more: now one by one, none like its neighbour. */
    for (int i = 0; mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;)
      if (++i > 100) _exit(3);
    return;
  }
  FILE *file = fopen("/proc/self/statm", "r");
  unsigned long pages;
  if (fscanf(file, "%lu", &pages) != 1) _exit(4);
  fclose(file);
  getrlimit(RLIMIT_AS, &before);
  struct rlimit limit = {pages * PAGE, before.rlim_max};
  setrlimit(RLIMIT_AS, &limit);
}

static void *lingerer(void *what) {
  while (!exists("")) {
    if (what != NULL && exists(".lift")) {
      if (areas != NULL) munmap(areas, areas_size);
      else setrlimit(RLIMIT_AS, &before);
      puts("lifted");
      fflush(stdout);
      what = NULL;
    }
    if (linger(what == NULL ? 40 : 2) < 1) _exit(5);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  end_file = argv[1];
  pthread_t thread;
  pthread_create(&thread, NULL, lingerer, argc > 2 ? argv[2] : NULL);
  usleep(1000);
  if (argc > 2) leave_no_room(argv[2]);
  puts("ready");
  fflush(stdout);
  pthread_join(thread, NULL);
  puts("all right");
  return 0;
}
