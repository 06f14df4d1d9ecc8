/* Sleeping calls that two signals interrupt, the second in the first one's handler or both at once: results, order, time left. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include "check.h"

static volatile sig_atomic_t depth, deepest;
static char order[100];
static volatile int sleep_inside;

static void handler(int number) {
  char word[20];
  depth++;
  if (depth > deepest) deepest = depth;
  snprintf(word, sizeof word, "%s+ ", number == SIGUSR1 ? "one" : "two");
  strncat(order, word, sizeof order - strlen(order) - 1);
  if (number == SIGUSR1 && sleep_inside) {
    struct timespec two = {2, 0}, left = {0, 0};
    int result = nanosleep(&two, &left);
    snprintf(word, sizeof word, "(%d %d) ", result, left.tv_sec == 1);
    strncat(order, word, sizeof order - strlen(order) - 1);
  }
  snprintf(word, sizeof word, "%s- ", number == SIGUSR1 ? "one" : "two");
  strncat(order, word, sizeof order - strlen(order) - 1);
  depth--;
}

static int both_at_once;

static pid_t poker(void) {
  pid_t sleeper = getpid(), pid = fork();
  if (pid == 0) {
    pause_ms(60);
    if (both_at_once) {
      /* While it is stopped both become pending. */
      kill(sleeper, SIGSTOP), pause_ms(20);
      kill(sleeper, SIGUSR1), kill(sleeper, SIGUSR2);
      kill(sleeper, SIGCONT);
    } else {
      kill(sleeper, SIGUSR1), pause_ms(60), kill(sleeper, SIGUSR2);
    }
    _exit(0);
  }
  return pid;
}

#define SLEEP(name, call)                                                                      \
  do {                                                                                         \
    order[0] = 0, deepest = 0, errno = 0;                                                      \
    pid_t pid = poker();                                                                       \
    long result = (call);                                                                      \
    int error = errno;                                                                         \
    while (!strstr(order, "two-")) pause_ms(1);                                                \
    CHECK(waitpid(pid, NULL, 0) == pid);                                                       \
    say("%s: %ld, %s, deepest %d, %s", name, result, error ? strerror(error) : "-", deepest, order); \
  } while (0)

static void every_call(void) {
  struct timespec three = {3, 0}, left = {9, 9};
  SLEEP("nanosleep", nanosleep(&three, &left));
  say("left %d", left.tv_sec == 2);
  left = (struct timespec){3, 0};
  SLEEP("nanosleep in place", nanosleep(&left, &left));
  say("left %d", left.tv_sec == 2);
  left = (struct timespec){9, 9};
  SLEEP("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &three, &left));
  say("left %d", left.tv_sec == 2);
  SLEEP("poll", poll(NULL, 0, 3000));
  struct timeval three_seconds = {3, 0};
  SLEEP("select", select(0, NULL, NULL, NULL, &three_seconds));
  say("left %d", three_seconds.tv_sec == 2);
  struct epoll_event event;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  SLEEP("epoll_wait", epoll_wait(epoll, &event, 1, 3000));
  SLEEP("pause", pause());
  close(epoll);
}

int main(void) {
  struct sigaction action = {.sa_handler = handler};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
  say("the second in the first one's handler");
  sleep_inside = 1;
  every_call();
  say("both at once");
  sleep_inside = 0, both_at_once = 1;
  every_call();
  return 0;
}
