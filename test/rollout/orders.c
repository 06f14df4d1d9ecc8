/* Does what it is told by files that appear in a folder: sleeps for a signal, locks memory, gives it back. */
#include "check.h"

const char constant[] = "a";
static const char *folder;

static void on_signal(int signal) {
  (void)signal;
  say("the handler sees %c", *(const volatile char *)constant);
}

static void wait_for(const char *order) {
  char path[500];
  snprintf(path, sizeof path, "%s/%s", folder, order);
  while (access(path, F_OK) != 0) pause_ms(2);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  folder = argv[1];
  struct sigaction action = {.sa_handler = on_signal};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  say("ready");
  wait_for("sleep");
  say("asleep");
  CHECK(pause() == -1 && errno == EINTR);
  say("awake, and sees %c", *(const volatile char *)constant);
  wait_for("lock");
  /* Far from all files: near them Atlas clears nothing in place. */
  void *far = (void *)(1UL << 41);
  char *area = mmap(far, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(area, 5, 16 * PAGE);
  CHECK(mlock(area, 16 * PAGE) == 0);
  say("locked");
  wait_for("advise");
  int result = madvise(area, 16 * PAGE, MADV_DONTNEED);
  say("advice %d leaves %d", result == 0 ? 0 : errno, area[PAGE]);
  return 0;
}
