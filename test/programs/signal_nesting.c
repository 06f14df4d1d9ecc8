/* A signal blocked while its handler runs is delivered after it; SA_NODEFER nests. */
#include "check.h"

static volatile int running, deepest, handled;

static void handler(int number) {
  running++;
  if (running > deepest) deepest = running;
  if (handled++ < 3) raise(number);
  running--;
}

int main(void) {
  for (int flags = 0; flags <= 1; flags++) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags ? SA_NODEFER : 0};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    running = deepest = handled = 0;
    raise(SIGUSR1);
    say("%s: handled %d, deepest %d", flags ? "SA_NODEFER" : "plain", handled, deepest);
  }
  return 0;
}
