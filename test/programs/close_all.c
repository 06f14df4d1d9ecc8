/* A program that closes, or dups over, all descriptors it does not know can still map memory, fork and exec. */
#include <dirent.h>
#include "check.h"

static void works(const char *how) {
  char *memory = malloc(30 << 20);
  CHECK(memory != NULL && all_zero(memory, 1 << 20));
  memset(memory, 1, 30 << 20);
  free(memory);
  CHECK(sbrk(1 << 20) != (void *)-1);
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
    _exit(127);
  }
  say_ending(how, pid);
}

static void attempt(const char *how, void (*close_them)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    close_them();
    works(how);
    _exit(0);
  }
  say_ending("as a whole", pid);
}

static void one_by_one(void) {
  for (int fd = 3; fd < 1024; fd++) close(fd);
}
static void by_range(void) { CHECK(syscall(SYS_close_range, 3, ~0U, 0) == 0); }
static void from(void) { closefrom(3); }
static void dup_over(void) {
  for (int fd = 3; fd < 300; fd++) CHECK(dup2(0, fd) == fd);
}
static void on_exec(void) { CHECK(syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0); }
static void by_folder(void) {
  DIR *folder = opendir("/proc/self/fd");
  for (struct dirent *entry; (entry = readdir(folder));) {
    int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(folder)) close(fd);
  }
  closedir(folder);
}

int main(void) {
  say("first free descriptor: %d", open("/dev/null", O_RDONLY));
  close(3);
  attempt("one by one", one_by_one);
  attempt("close_range", by_range);
  attempt("closefrom", from);
  attempt("dup2", dup_over);
  attempt("close_range on exec", on_exec);
  attempt("by /proc/self/fd", by_folder);
  by_range();
  works("the main process");
  return 0;
}
