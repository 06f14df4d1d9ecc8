/* Every advice that a kernel may know, unknown ones too, over every kind of memory: its answer, and what is read then.
   Not MADV_HWPOISON and MADV_SOFT_OFFLINE, which take pages from the machine. */
#include "check.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

enum { PAGES = 4 };
enum kind { ANONYMOUS, READ_ONLY, INACCESSIBLE, PRIVATE_FILE, PRIVATE_FILE_READ, SHARED_FILE, SHARED_ANONYMOUS, LOCKED, LOCKED_FILE, SEALED, SEALED_READ_ONLY, HOLE, KINDS };
static const char *const names[] = {"anonymous", "read-only", "inaccessible", "private file", "private file, read", "shared file", "shared anonymous", "locked", "locked file", "sealed", "sealed, read-only", "with a hole"};

static char *make(enum kind kind) {
  int private = kind == PRIVATE_FILE || kind == PRIVATE_FILE_READ || kind == LOCKED_FILE;
  int file = private || kind == SHARED_FILE, fd = -1;
  if (file) {
    FILE *temporary = tmpfile();
    fd = dup(fileno(temporary));
    fclose(temporary);
    char bytes[PAGES * PAGE - 100];
    memset(bytes, 'f', sizeof bytes);
    CHECK(write(fd, bytes, sizeof bytes) == sizeof bytes);
  }
  int shared = kind == SHARED_FILE || kind == SHARED_ANONYMOUS;
  int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS);
  int protection = kind == PRIVATE_FILE_READ ? PROT_READ : PROT_READ | PROT_WRITE;
  char *area = mmap(NULL, PAGES * PAGE, protection, flags, fd, 0);
  CHECK(area != MAP_FAILED);
  if (file) close(fd);
  if (protection & PROT_WRITE) memset(area, 'w', PAGES * PAGE);
  if (kind == READ_ONLY || kind == SEALED_READ_ONLY) CHECK(mprotect(area, PAGES * PAGE, PROT_READ) == 0);
  if (kind == INACCESSIBLE) CHECK(mprotect(area, PAGES * PAGE, PROT_NONE) == 0);
  if (kind == LOCKED || kind == LOCKED_FILE) CHECK(mlock(area, PAGES * PAGE) == 0);
  if (kind == HOLE) CHECK(munmap(area + PAGE, PAGE) == 0);
  if (kind == SEALED || kind == SEALED_READ_ONLY) syscall(SYS_mseal, area, PAGES * PAGE, 0);
  return area;
}

static void show(char *area, enum kind kind) {
  if (kind == INACCESSIBLE) CHECK(mprotect(area, PAGES * PAGE, PROT_READ) == 0);
  char text[PAGES + 1] = {0};
  for (int i = 0; i < PAGES; i++) {
    if (kind == HOLE && i == 1) text[i] = '_';
    else text[i] = area[i * PAGE] ? area[i * PAGE] : '0';
  }
  printf(" %s,%d", text, area[PAGES * PAGE - 1]);
}

/* Advice that Atlas refuses as an older kernel does: what is accepted must mean what it means natively. */
static int may_be_refused(int advice) { return advice == 102 || advice == 103; }

static void refused_or_done(enum kind kind, int advice) {
  char *area = make(kind);
  char before[PAGES];
  int readable = kind != INACCESSIBLE && kind != HOLE;
  for (int i = 0; readable && i < PAGES; i++) before[i] = area[i * PAGE];
  int result = madvise(area, PAGES * PAGE, advice);
  int guards = advice == 102 && result == 0;
  if (guards) CHECK(madvise(area, PAGES * PAGE, 103) == 0);
  int anonymous = kind == ANONYMOUS || kind == READ_ONLY || kind == SEALED;
  for (int i = 0; readable && i < PAGES; i++) CHECK(area[i * PAGE] == (guards && anonymous ? 0 : before[i]) || (guards && !anonymous));
  if (kind != SEALED && kind != SEALED_READ_ONLY) CHECK(munmap(area, PAGES * PAGE) == 0);
}

int main(void) {
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  static const int others[] = {26, 27, 50, 99, 102, 103, 104, 255, 4096, -1};
  for (int kind = 0; kind < KINDS; kind++) {
    for (int i = 0; i < 26 + (int)(sizeof others / sizeof *others); i++) {
      int advice = i < 26 ? i : others[i - 26];
      if (may_be_refused(advice)) {
        refused_or_done(kind, advice);
        continue;
      }
      char *area = make(kind);
      errno = 0;
      /* What a swap device, the LRU and huge pages are like is the machine's: MADV_FREE and COLLAPSE may or may not act. */
      int result = madvise(area, (advice == 4 ? 2 : PAGES) * PAGE, advice);
      int error = result == 0 ? 0 : errno;
      printf("%s, %d: %d", names[kind], advice, error);
      if (advice != MADV_FREE || error == EINVAL || error == EPERM) show(area, kind);
      putchar('\n');
      if (kind != SEALED && kind != SEALED_READ_ONLY) CHECK(munmap(area, PAGES * PAGE) == 0);
    }
  }
  fflush(stdout);
  return 0;
}
