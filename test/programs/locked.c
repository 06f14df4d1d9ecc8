/* mlock, mlock2, munlock and mlockall with present and future mappings. */
#include <sys/resource.h>
#include "check.h"

int main(void) {
  char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mlock(area, 8 * PAGE) == 0);
  unsigned char resident[8];
  CHECK(mincore(area, 8 * PAGE, resident) == 0);
  for (int i = 0; i < 8; i++) CHECK(resident[i] & 1);
  CHECK(munlock(area + PAGE, 2 * PAGE) == 0 && mlock2(area + PAGE, PAGE, MLOCK_ONFAULT) == 0);
  say("over a hole: %d", munmap(area + 4 * PAGE, PAGE) == 0 && mlock(area, 8 * PAGE) == -1 ? errno : 0);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  if (geteuid() == 0) {
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    char *later = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mincore(later, 8 * PAGE, resident) == 0);
    for (int i = 0; i < 8; i++) CHECK(resident[i] & 1);
    CHECK(munlockall() == 0);
  }
  say("memory is locked and unlocked");
  return 0;
}
