/* exec of a script with an interpreter line, of a script without one, of a folder, and of too many arguments. */
#include <sys/stat.h>
#include "check.h"

static void put(const char *path, const char *text) {
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0755);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void run(const char *who, const char *path, char *argument) {
  pid_t pid = fork();
  if (pid == 0) {
    execl(path, path, argument, (char *)NULL);
    _exit(errno);
  }
  say_ending(who, pid);
}

int main(void) {
  char folder[] = "/tmp/atlas-test-script-XXXXXX", path[100];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/script", folder);
  put(path, "#!/bin/sh -e\necho script got $1\nexit 8\n");
  run("script", path, "word");
  put(path, "no interpreter\n");
  run("not executable format", path, "word");
  run("a folder", folder, "word");
  char *huge = malloc(200000);
  memset(huge, 'x', 199999), huge[199999] = 0;
  run("argument too long", "/bin/true", huge);
  huge[100000] = 0;
  run("long argument", "/bin/true", huge);
  unlink(path);
  rmdir(folder);
  return 0;
}
