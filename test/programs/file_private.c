/* Writes to a private file mapping stay private; the rest of the last page is zero; unwritten pages are the file's. */
#include "check.h"

int main(void) {
  char folder[] = "/tmp/atlas-test-private-XXXXXX";
  int fd = mkstemp(folder);
  CHECK(fd >= 0 && unlink(folder) == 0);
  char text[2 * PAGE + 100];
  memset(text, 'a', sizeof text);
  CHECK(write(fd, text, sizeof text) == sizeof text);
  char *map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK(map != MAP_FAILED);
  say("tail is zero: %d", all_zero(map + 2 * PAGE + 100, PAGE - 100));
  map[0] = 'b', map[2 * PAGE + 200] = 'c';
  char byte;
  CHECK(pread(fd, &byte, 1, 0) == 1);
  say("file keeps '%c', mapping has '%c' '%c'", byte, map[0], map[2 * PAGE + 200]);
  CHECK(lseek(fd, 0, SEEK_END) == sizeof text);
  char *second = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
  second[0] = 'd';
  say("another mapping of the second page: %c %c, first sees %c", second[0], second[1], map[PAGE]);
  CHECK(munmap(map, PAGE) == 0 && map[PAGE] == 'a');
  pid_t pid = fork();
  if (pid == 0) {
    map[PAGE] = 'e';
    _exit(map[2 * PAGE + 200]);
  }
  say_ending("child", pid);
  say("parent keeps %c", map[PAGE]);
  char *readonly = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(readonly[5] == 'a' && mprotect(readonly, PAGE, PROT_READ | PROT_WRITE) == 0);
  readonly[5] = 'g';
  CHECK(pread(fd, &byte, 1, 5) == 1);
  say("made writable later: mapping %c %c, file %c", readonly[5], readonly[PAGE], byte);
  CHECK(mprotect(readonly, PAGE, PROT_READ) == 0);
  say("kept when read-only again: %c", readonly[5]);
  int plain = open("/proc/self/exe", O_RDONLY);
  char *header = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, plain, 0);
  CHECK(header != MAP_FAILED);
  header[0] = 'X';
  say("private and writable from a read-only file: %c%c", header[0], header[1]);
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), 100) == 0);
  char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
  memset(shared, 's', PAGE);
  char *copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
  say("behind the end of the file: %c %c", copy[99], copy[100]);
  return 0;
}
