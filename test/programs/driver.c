/* Runs test programs one after the other as its children; keeps each one's output and wait status in files.
   usage: driver FOLDER PROGRAM... */
#define NEVER_HELD
#include <libgen.h>
#include "check.h"

static void redirect(const char *folder, const char *name, const char *kind, int target) {
  char path[1000];
  snprintf(path, sizeof path, "%s/%s.%s", folder, name, kind);
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  CHECK(fd >= 0 && dup2(fd, target) == target && close(fd) == 0);
}

static void note(const char *folder, const char *name, const char *kind, int value) {
  char path[1000], final[1000];
  snprintf(path, sizeof path, "%s/%s.%s.new", folder, name, kind);
  snprintf(final, sizeof final, "%s/%s.%s", folder, name, kind);
  FILE *file = fopen(path, "w");
  CHECK(file != NULL && fprintf(file, "%d\n", value) > 0 && fclose(file) == 0);
  CHECK(rename(path, final) == 0);
}

int main(int argc, char **argv) {
  const char *folder = argv[1];
  for (int i = 2; i < argc; i++) {
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", argv[i]);
    const char *name = basename(copy);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      /* With a parent outside of its group the program can be stopped; an orphaned group's members ignore SIGTSTP. */
      CHECK(setpgid(0, 0) == 0);
      redirect(folder, name, "stdout", 1);
      redirect(folder, name, "stderr", 2);
      execl(argv[i], name, (char *)NULL);
      _exit(127);
    }
    note(folder, name, "pid", pid);
    int status;
    while (waitpid(pid, &status, 0) == -1) CHECK(errno == EINTR);
    note(folder, name, "status", status);
  }
  return 0;
}
