/* Resource limits: read, lowered, and what they forbid. */
#include <sys/resource.h>
#include "check.h"

int main(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
  say("stack limit %ld", (long)limit.rlim_cur);
  limit.rlim_cur = limit.rlim_max = 40;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  int fds[50], count = 0;
  while (count < 50 && (fds[count] = open("/dev/null", O_RDONLY)) >= 0) count++;
  say("opened up to descriptor %d, then errno %d", count ? fds[count - 1] : -1, errno);
  char *still = malloc(4 << 20);
  CHECK(still != NULL);
  memset(still, 1, 4 << 20);
  for (int i = 0; i < count; i++) close(fds[i]);
  signal(SIGXFSZ, SIG_IGN);
  limit.rlim_cur = limit.rlim_max = 8192;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), 8192) == 0);
  say("too long a file: %d", ftruncate(fileno(file), 8193) == -1 ? errno : 0);
  char *more = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(more != MAP_FAILED);
  memset(more, 2, 1 << 20);
  say("memory still works: %d %d", still[1000], more[100000]);
  limit.rlim_cur = limit.rlim_max = 512L << 20;
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  say("too much address space: %d", mmap(NULL, 1L << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0);
  return 0;
}
