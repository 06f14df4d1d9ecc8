/* Arguments, environment and auxiliary vector are readable, in memory and through /proc/self. */
#include <sys/auxv.h>
#include "check.h"

static size_t slurp(const char *path, char *buffer, size_t size) {
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  size_t total = 0;
  for (ssize_t n; (n = read(fd, buffer + total, size - total)) > 0;) total += n;
  close(fd);
  return total;
}

int main(int argc, char **argv, char **envp) {
  if (argc == 1) {
    char *again[] = {argv[0], "one", "", "three words here", NULL};
    char *env[] = {"FIRST=1", "EMPTY=", "LAST=last value", NULL};
    execve("/proc/self/exe", again, env);
    CHECK(0);
  }
  for (int i = 1; i < argc; i++) say("argument %d: '%s'", i, argv[i]);
  for (char **entry = envp; *entry; entry++) say("environment: %s", *entry);
  char buffer[65536];
  size_t length = slurp("/proc/self/cmdline", buffer, sizeof buffer);
  say("cmdline: %zu bytes, ends with '%s'", length, length > 17 ? buffer + length - 17 : "");
  length = slurp("/proc/self/environ", buffer, sizeof buffer);
  say("environ: %zu bytes, starts with '%s'", length, length ? buffer : "");
  CHECK(getauxval(AT_PAGESZ) == PAGE && getauxval(AT_RANDOM) != 0 && getauxval(AT_PHDR) != 0);
  CHECK(getauxval(AT_SYSINFO_EHDR) != 0 && getauxval(AT_ENTRY) != 0);
  say("execfn ends with %s", strrchr((char *)getauxval(AT_EXECFN), '/'));
  length = slurp("/proc/self/auxv", buffer, sizeof buffer);
  say("auxv is %s", length > 0 && length % 16 == 0 ? "whole" : "broken");
  argv[1][0] = 'O';
  length = slurp("/proc/self/cmdline", buffer, sizeof buffer);
  say("a changed argument is seen: %s", memmem(buffer, length, "One", 3) ? "yes" : "no");
  return 0;
}
