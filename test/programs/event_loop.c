/* Threads wake each other through epoll, eventfd and edge-triggered pipes; a waiter with a timeout times out. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "check.h"

static int epoll, event_fd, done_fd;
static long seen;

static void *worker(void *unused) {
  struct epoll_event event;
  for (;;) {
    CHECK(epoll_wait(epoll, &event, 1, -1) == 1);
    if (event.data.fd == done_fd) return unused;
    uint64_t count;
    if (read(event_fd, &count, sizeof count) == sizeof count) __atomic_add_fetch(&seen, count, __ATOMIC_SEQ_CST);
  }
}

int main(void) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  event_fd = eventfd(0, EFD_NONBLOCK), done_fd = eventfd(0, EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = event_fd};
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event) == 0);
  event.data.fd = done_fd;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, done_fd, &event) == 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, worker, NULL) == 0);
  for (uint64_t i = 0; i < 2000; i++) CHECK(write(event_fd, &(uint64_t){1}, 8) == 8);
  while (__atomic_load_n(&seen, __ATOMIC_SEQ_CST) < 2000) pause_ms(1);
  CHECK(write(done_fd, &(uint64_t){1}, 8) == 8);
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  say("seen %ld", seen);
  int empty = epoll_create1(0);
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  say("timeout: %d", epoll_wait(empty, &event, 1, 30));
  clock_gettime(CLOCK_MONOTONIC, &after);
  long waited = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
  CHECK(waited >= 29);
  int channel[2];
  CHECK(pipe2(channel, O_NONBLOCK) == 0);
  event = (struct epoll_event){.events = EPOLLIN | EPOLLET | EPOLLONESHOT};
  CHECK(epoll_ctl(empty, EPOLL_CTL_ADD, channel[0], &event) == 0);
  CHECK(write(channel[1], "ab", 2) == 2);
  int first = epoll_wait(empty, &event, 1, 1000), second = epoll_wait(empty, &event, 1, 10);
  say("one shot: %d then %d", first, second);
  return 0;
}
