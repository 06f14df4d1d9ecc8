/* system and popen, both ways. */
#include "check.h"

int main(void) {
  int status = system("echo hello from system; exit 3");
  say("system: %d", WEXITSTATUS(status));
  status = system("kill -TERM $$");
  say("system killed: %d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
  FILE *in = popen("printf 'a\\nb\\nc\\n' | sort -r | tr a-z A-Z", "r");
  char line[100];
  while (fgets(line, sizeof line, in)) printf("read %s", line);
  say("closed: %d", pclose(in));
  FILE *out = popen("cat; exit 4", "w");
  fputs("written to cat\n", out);
  say("closed: %d", WEXITSTATUS(pclose(out)));
  return 0;
}
