/* Locking all memory within RLIMIT_MEMLOCK, without the privilege to ignore it: what a small program has is little. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include "check.h"

static void say_result(const char *what, int result) { say("%s: %d, %s", what, result, result ? strerror(errno) : "-"); }

int main(void) {
  struct rlimit limit = {8 << 20, 8 << 20};
  CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  if (getuid() == 0) CHECK(setresuid(65534, 65534, 65534) == 0);
  say_result("current", mlockall(MCL_CURRENT));
  say_result("unlocked", munlockall());
  say_result("on fault", mlockall(MCL_CURRENT | MCL_ONFAULT));
  say_result("unlocked", munlockall());
  say_result("future", mlockall(MCL_FUTURE));
  char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("small mapping: %d", memory != MAP_FAILED);
  memory = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("mapping above the limit: %d, %s", memory != MAP_FAILED, memory == MAP_FAILED ? strerror(errno) : "-");
  say_result("unlocked", munlockall());
  return 0;
}
