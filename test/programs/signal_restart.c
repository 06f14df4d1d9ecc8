/* A blocked read is restarted with SA_RESTART, and interrupted without. */
#include "check.h"

static volatile sig_atomic_t seen;
static void handler(int unused) { (void)unused, seen++; }

static pthread_t reader;
static int channel[2];

static void *poker(void *unused) {
  for (int i = 0; i < 3; i++) {
    pause_ms(30);
    pthread_kill(reader, SIGUSR1);
  }
  pause_ms(30);
  CHECK(write(channel[1], "x", 1) == 1);
  return unused;
}

static void attempt(int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  seen = 0;
  reader = pthread_self();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, poker, NULL) == 0);
  char byte;
  int interruptions = 0;
  while (read(channel[0], &byte, 1) == -1) {
    CHECK(errno == EINTR);
    interruptions++;
  }
  pthread_join(thread, NULL);
  say("%s: handler ran %d times, interruptions %d", flags & SA_RESTART ? "SA_RESTART" : "plain", seen, interruptions);
}

int main(void) {
  CHECK(pipe(channel) == 0);
  attempt(SA_RESTART);
  attempt(0);
  return 0;
}
