/* under_mdwe COMMAND...: runs it with PR_SET_MDWE, as systemd's MemoryDenyWriteExecute=yes does. */
#define NEVER_HELD
#include <sys/prctl.h>
#include "check.h"

int main(int argc, char **argv) {
  CHECK(argc > 1 && prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0);
  execv(argv[1], argv + 1);
  return 127;
}
