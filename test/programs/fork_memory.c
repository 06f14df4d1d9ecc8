/* After fork, parent and child have private copies of everything but MAP_SHARED memory, both ways. */
#include "check.h"

static int data = 1;
static int bss;
static __thread int local = 3;

int main(void) {
  int stack = 4;
  int *heap = malloc(sizeof *heap);
  char *anonymous = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char *large = malloc(20 << 20);
  int ready[2], go[2];
  CHECK(pipe(ready) == 0 && pipe(go) == 0);
  *heap = 5, anonymous[PAGE] = 6, shared[0] = 7, bss = 2, memset(large, 8, 20 << 20);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    CHECK(data == 1 && bss == 2 && local == 3 && stack == 4 && *heap == 5 && anonymous[PAGE] == 6);
    CHECK(shared[0] == 7 && large[0] == 8 && large[(20 << 20) - 1] == 8 && anonymous[2 * PAGE] == 0);
    data = bss = local = stack = *heap = 100, anonymous[PAGE] = 100, shared[0] = 100, large[5] = 100;
    CHECK(write(ready[1], "r", 1) == 1 && read(go[0], &byte, 1) == 1);
    say("child keeps: %d %d %d %d %d %d large %d shared %d", data, bss, local, stack, *heap, anonymous[PAGE],
        large[5], shared[0]);
    char *more = malloc(1 << 20);
    memset(more, 9, 1 << 20);
    CHECK(anonymous[0] == 0 && more[77] == 9);
    _exit(0);
  }
  char byte;
  CHECK(read(ready[0], &byte, 1) == 1);
  say("parent sees: %d %d %d %d %d %d large %d shared %d", data, bss, local, stack, *heap, anonymous[PAGE], large[5],
      shared[0]);
  data = bss = local = stack = *heap = 50, anonymous[PAGE] = 50, shared[0] = 51, large[5] = 50;
  CHECK(write(go[1], "g", 1) == 1);
  say_ending("child", pid);
  return 0;
}
