/* A signalfd in an epoll set reports process- and thread-directed signals. */
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include "check.h"

static int fd, epoll;

static void take(const char *who) {
  struct epoll_event event;
  CHECK(epoll_wait(epoll, &event, 1, 10000) == 1 && event.data.fd == fd);
  struct signalfd_siginfo info;
  CHECK(read(fd, &info, sizeof info) == sizeof info);
  say("%s: signal %u code %d value %d", who, info.ssi_signo, info.ssi_code, info.ssi_int);
  CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
}

int main(void) {
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGCHLD);
  CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  kill(getpid(), SIGUSR1);
  take("kill");
  pthread_kill(pthread_self(), SIGUSR1);
  take("pthread_kill");
  sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42});
  take("sigqueue");
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    pause_ms(30);
    sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = 43});
    pause_ms(30);
    _exit(3);
  }
  take("while waiting");
  take("child's end");
  say_ending("child", pid);
  return 0;
}
