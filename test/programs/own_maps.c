/* A program finds its own stack, heap, code and mappings in /proc/self/maps with the right protections. */
#include "check.h"

static int global = 1;

static const char *find(const void *wanted) {
  static char line[500];
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    static char protection[5];
    CHECK(sscanf(line, "%lx-%lx %4s", &start, &end, protection) == 3);
    if ((unsigned long)wanted >= start && (unsigned long)wanted < end) {
      protection[3] = 0;
      fclose(maps);
      return protection;
    }
  }
  fclose(maps);
  return "none";
}

int main(void) {
  int local = 2;
  char *anonymous = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mprotect(anonymous + PAGE, PAGE, PROT_READ) == 0 && mprotect(anonymous + 2 * PAGE, PAGE, PROT_NONE) == 0);
  say("stack %s", find(&local));
  say("data %s", find(&global));
  say("heap %s", find(malloc(10)));
  say("code %s", find((void *)find));
  say("libc %s", find((void *)printf));
  for (int i = 0; i < 4; i++) say("page %d %s", i, find(anonymous + i * PAGE));
  CHECK(munmap(anonymous, 4 * PAGE) == 0);
  say("after munmap %s", find(anonymous));
  return 0;
}
