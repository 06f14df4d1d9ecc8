/*
 * vforks END: one thread is in vfork while another forks, over and over; the vfork child makes a memory call while the
 * fork is under way. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"
#include <stdatomic.h>

static const char *end_file;
static _Atomic int in_child, over;

__attribute__((noinline)) static pid_t begin_vfork(void) {
  pid_t pid = vfork();
  if (pid != 0) return pid;
  in_child = 1;
  struct timespec time = {0, 30000000};
  syscall(SYS_nanosleep, &time, NULL);
  void *area = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  area = area == MAP_FAILED ? area : mremap(area, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
  _exit(area == MAP_FAILED || munmap(area, 8 * PAGE) != 0 ? 1 : 3);
}

static void expect(pid_t pid, int code) {
  int status;
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
    say("status 0x%x instead of exit code %d", status, code);
    _exit(1);
  }
}

static void *vforker(void *turns) {
  for (long *count = turns; access(end_file, F_OK) != 0; ++*count) {
    expect(begin_vfork(), 3);
    in_child = 0;
  }
  over = 1;
  return NULL;
}

static void *forker(void *turns) {
  for (long *count = turns; !over; ++*count) {
    while (!in_child && !over) pause_ms(1);
    pid_t pid = fork();
    if (pid == 0) _exit(4);
    expect(pid, 4);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  end_file = argv[1];
  pthread_t threads[2];
  long turns[2] = {0};
  CHECK(pthread_create(&threads[0], NULL, vforker, &turns[0]) == 0);
  CHECK(pthread_create(&threads[1], NULL, forker, &turns[1]) == 0);
  while (turns[0] < 3 || turns[1] < 3) pause_ms(1);
  say("ready");
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  say("all right");
  return 0;
}
