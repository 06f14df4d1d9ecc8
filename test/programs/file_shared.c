/* Writes to a shared file mapping reach the file and other mappings, with MAP_SHARED and MAP_SHARED_VALIDATE. */
#include "check.h"

static void with(int type, const char *name) {
  char path[] = "/tmp/atlas-test-shared-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 3 * PAGE) == 0);
  char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, type, fd, 0);
  CHECK(map != MAP_FAILED);
  strcpy(map + PAGE, "written through the mapping");
  char text[40] = {0};
  CHECK(pread(fd, text, 27, PAGE) == 27);
  say("%s: the file has '%s'", name, text);
  CHECK(pwrite(fd, "WRITTEN", 7, PAGE) == 7);
  say("%s: the mapping has '%s'", name, map + PAGE);
  char *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
  pid_t pid = fork();
  if (pid == 0) {
    strcpy(other + 8, "BY THE CHILD");
    CHECK(msync(other, PAGE, MS_SYNC) == 0);
    _exit(0);
  }
  say_ending("child", pid);
  say("%s: '%s'", name, map + PAGE);
  CHECK(madvise(map + PAGE, PAGE, MADV_DONTNEED) == 0);
  say("%s: after DONTNEED '%s'", name, map + PAGE);
  CHECK(munmap(map, 3 * PAGE) == 0 && munmap(other, PAGE) == 0);
  CHECK(pread(fd, text, 27, PAGE) == 27);
  say("%s: at the end the file has '%.12s'", name, text);
  close(fd);
}

int main(void) {
  with(MAP_SHARED, "MAP_SHARED");
  with(MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE");
  return 0;
}
