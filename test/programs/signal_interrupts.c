/* Which sleeping calls a signal interrupts, what they return, and how much time nanosleep says is left. */
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include "check.h"

static void handler(int unused) { (void)unused; }
static pthread_t sleeper;

static void *poker(void *unused) {
  pause_ms(40);
  pthread_kill(sleeper, SIGUSR1);
  return unused;
}

#define INTERRUPTED(name, call)                                      \
  do {                                                               \
    pthread_t thread;                                                \
    CHECK(pthread_create(&thread, NULL, poker, NULL) == 0);          \
    errno = 0;                                                       \
    long result = (call);                                            \
    int error = errno;                                               \
    pthread_join(thread, NULL);                                      \
    say("%s: %ld, %s", name, result, error ? strerror(error) : "-"); \
  } while (0)

int main(void) {
  sleeper = pthread_self();
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  int epoll = epoll_create1(0), channel[2];
  CHECK(pipe(channel) == 0);
  struct epoll_event event;
  struct timespec ten = {10, 0}, left = {0, 0};
  struct timeval ten_seconds = {10, 0};
  struct pollfd poll_set = {channel[0], POLLIN, 0};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(channel[0], &set);
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  INTERRUPTED("epoll_wait", epoll_wait(epoll, &event, 1, 10000));
  INTERRUPTED("nanosleep", nanosleep(&ten, &left));
  say("time left is right: %d", left.tv_sec == 9);
  INTERRUPTED("poll", poll(&poll_set, 1, 10000));
  INTERRUPTED("ppoll", ppoll(&poll_set, 1, &ten, NULL));
  INTERRUPTED("select", select(channel[0] + 1, &set, NULL, NULL, &ten_seconds));
  INTERRUPTED("pause", pause());
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 10;
  INTERRUPTED("sem_timedwait", sem_timedwait(&semaphore, &until));
  INTERRUPTED("clock_nanosleep", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL));
  sigset_t none;
  sigemptyset(&none);
  INTERRUPTED("sigsuspend", sigsuspend(&none));
  INTERRUPTED("epoll_pwait", epoll_pwait(epoll, &event, 1, 10000, &none));
  return 0;
}
