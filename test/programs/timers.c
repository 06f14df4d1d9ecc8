/* POSIX timers that signal the process or one thread, setitimer, alarm, timerfd. */
#include <sys/time.h>
#include <sys/timerfd.h>
#include "check.h"

static volatile sig_atomic_t fired, value;
static volatile pid_t receiver;

static void handler(int unused, siginfo_t *info, void *context) {
  (void)unused, (void)context;
  fired++, receiver = gettid();
  if (info->si_code == SI_TIMER) value = info->si_value.sival_int;
}

static void await(int times) {
  struct timespec brief = {0, 5000000};
  for (int i = 0; i < 1000 && fired < times; i++) nanosleep(&brief, NULL);
  CHECK(fired >= times);
}

static void *thread_main(void *unused) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 88};
  event._sigev_un._tid = gettid();
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec soon = {.it_value.tv_nsec = 20000000};
  fired = 0;
  CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
  await(1);
  say("SIGEV_THREAD_ID: value %d to the right thread %d", value, receiver == gettid());
  CHECK(timer_delete(timer) == 0);
  return unused;
}

static void notified(union sigval what) { __atomic_store_n((int *)what.sival_ptr, 1, __ATOMIC_SEQ_CST); }

int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGALRM, &action, NULL), sigaction(SIGRTMIN, &action, NULL), sigaction(SIGRTMIN + 1, &action, NULL);
  sigaction(SIGVTALRM, &action, NULL), sigaction(SIGPROF, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
  timer_t timer;
  CHECK(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
  struct itimerspec often = {.it_value.tv_nsec = 10000000, .it_interval.tv_nsec = 10000000};
  CHECK(timer_settime(timer, 0, &often, NULL) == 0);
  await(5);
  CHECK(timer_delete(timer) == 0);
  say("SIGEV_SIGNAL: value %d", value);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0);
  int called = 0;
  event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified, .sigev_value.sival_ptr = &called};
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec once = {.it_value.tv_nsec = 10000000};
  CHECK(timer_settime(timer, 0, &once, NULL) == 0);
  while (!__atomic_load_n(&called, __ATOMIC_SEQ_CST)) pause_ms(2);
  say("SIGEV_THREAD: called");
  CHECK(timer_delete(timer) == 0);
  fired = 0;
  struct itimerval interval = {{0, 10000}, {0, 10000}}, off = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &interval, NULL) == 0);
  await(3);
  CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
  say("ITIMER_REAL fires");
  fired = 0;
  CHECK(setitimer(ITIMER_PROF, &interval, NULL) == 0);
  while (fired < 2) __asm__ volatile("pause");
  CHECK(setitimer(ITIMER_PROF, &off, NULL) == 0);
  say("ITIMER_PROF fires");
  fired = 0;
  alarm(1);
  say("alarm was set: %u", alarm(1) <= 1);
  await(1);
  say("alarm fires");
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  CHECK(timerfd_settime(fd, 0, &often, NULL) == 0);
  uint64_t times;
  CHECK(read(fd, &times, sizeof times) == sizeof times && times >= 1);
  say("timerfd fires");
  return 0;
}
