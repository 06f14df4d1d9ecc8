/* Faults of every kind end a program that has the signal by default, ignored or blocked, with the signal that it is. */
#include <sys/resource.h>
#include "held_child.h"

static volatile int zero;
static volatile int sink;

static void fault(const char *kind) {
  if (strncmp(kind, "segv", 4) == 0) *(volatile int *)8 = 1;
  if (strncmp(kind, "general", 7) == 0) *(volatile int *)0x8000000000000000 = 1;
  if (strncmp(kind, "fpe", 3) == 0) sink = sink / zero;
  if (strncmp(kind, "ill", 3) == 0) __asm__ volatile("ud2");
  if (strncmp(kind, "trap", 4) == 0) __asm__ volatile("int3");
  if (strncmp(kind, "bus", 3) == 0) {
    int fd = memfd_create("empty", 0);
    sink = *(volatile int *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  }
}

int main(int argc, char **argv) {
  struct rlimit no_core = {0, 0};
  CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
  static const struct {
    const char *name;
    int signal;
  } KINDS[] = {{"segv", SIGSEGV}, {"general", SIGSEGV}, {"fpe", SIGFPE}, {"ill", SIGILL}, {"trap", SIGTRAP}, {"bus", SIGBUS}};
  const char *ways[] = {"default", "ignored", "blocked", "blocked and handled"};
  for (int i = 0; i < 6; i++) {
    for (int way = 0; way < 4; way++) {
      char name[100];
      snprintf(name, sizeof name, "%s, %s", KINDS[i].name, ways[way]);
      if (argc == 1) {
        say_ending(name, spawn_held(name));
        continue;
      }
      if (strcmp(argv[1], name) != 0) continue;
      sigset_t set;
      sigemptyset(&set), sigaddset(&set, KINDS[i].signal);
      if (way == 1) signal(KINDS[i].signal, SIG_IGN);
      if (way == 3) signal(KINDS[i].signal, _exit);
      if (way >= 2) sigprocmask(SIG_BLOCK, &set, NULL);
      fault(name);
      return 0;
    }
  }
  return 0;
}
