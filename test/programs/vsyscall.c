/* The legacy vsyscall page still answers, as far as this kernel lets it. */
#include "check.h"

static void handler(int unused) {
  (void)unused;
  say("vsyscall faults");
  _exit(0);
}

int main(void) {
  signal(SIGSEGV, handler);
  time_t (*legacy_time)(time_t *) = (void *)0xffffffffff600400UL;
  time_t before = time(NULL), now = legacy_time(NULL);
  say("vsyscall time is right: %d", now >= before && now <= before + 2);
  return 0;
}
