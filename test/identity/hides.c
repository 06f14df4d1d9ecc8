/* Makes itself not dumpable, and ends on the first SIGTERM. */
#define NEVER_HELD
#include <sys/prctl.h>
#include "check.h"

int main(void) {
  sigset_t set;
  int signal;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0);
  say("hidden");
  CHECK(sigwait(&set, &signal) == 0 && signal == SIGTERM);
  say("signalled");
  return 0;
}
