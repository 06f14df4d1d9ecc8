/* At the limit of areas (vm.max_map_count): what is refused keeps its content, what needs no further area works.
   Only whole answers are shown: how many areas there are before is not the same in every process. */
#include "check.h"

static char *map(size_t pages, char byte) {
  char *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  memset(area, byte, pages * PAGE);
  return area;
}

static int intact(const char *area, size_t pages, char byte) {
  for (size_t i = 0; i < pages * PAGE; i++)
    if (area[i] != byte) return 0;
  return 1;
}

static const char *outcome(long result) { return result == -1 ? strerror(errno) : "done"; }

int main(void) {
  enum { MANY = 140000 };
  char *whole = map(8, 'w'), *kept = map(8, 'k'), *moved = map(8, 'm');
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), PAGE) == 0);
  char *many = mmap(NULL, MANY * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(many != MAP_FAILED);
  /* Islands of another protection until there is no room for one more; then, page by page, at the very edge. */
  size_t at = 1;
  while (at < MANY && mprotect(many + at * PAGE, PAGE, PROT_READ) == 0) at += 2;
  CHECK(at < MANY && errno == ENOMEM);
  long results[8] = {0};
  int i = 0, errors[8] = {0};
#define TRY(call) (errno = 0, results[i] = (long)(call), errors[i++] = errno)
  TRY(munmap(kept + 2 * PAGE, PAGE));
  TRY(mmap(kept + 2 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  TRY(mmap(kept + 2 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fileno(file), 0));
  TRY(mremap(moved, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, kept + 2 * PAGE));
  int kept_intact = intact(kept, 8, 'k'), moved_intact = intact(moved, 8, 'm');
  TRY(madvise(whole, 2 * PAGE, MADV_DONTNEED));
  int discarded = all_zero(whole, 2 * PAGE);
  TRY(munmap(whole, 8 * PAGE));
  CHECK(munmap(many, MANY * PAGE) == 0);
  for (int k = 0; k < i; k++) {
    errno = errors[k];
    say("%d: %s", k, outcome(results[k]));
  }
  say("intact: %d %d, discarded: %d", kept_intact, moved_intact, discarded);
  return 0;
}
