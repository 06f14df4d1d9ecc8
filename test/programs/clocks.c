/* Clocks run, CPU clocks count this process's and this thread's work, times and rusage agree with them. */
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include "check.h"

static double now(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void) {
  double monotonic = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), own = now(CLOCK_THREAD_CPUTIME_ID);
  volatile unsigned long sum = 0;
  while (now(CLOCK_THREAD_CPUTIME_ID) - own < 0.06) sum++;
  CHECK(now(CLOCK_MONOTONIC) - monotonic > 0.05 && now(CLOCK_PROCESS_CPUTIME_ID) - cpu > 0.05);
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  CHECK(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_usec / 1e6 > 0.03);
  struct tms tms;
  CHECK(times(&tms) != (clock_t)-1 && tms.tms_utime + tms.tms_stime >= 3);
  clockid_t clock;
  CHECK(clock_getcpuclockid(getpid(), &clock) == 0 && now(clock) > 0.05);
  CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0 && now(clock) > 0.05);
  monotonic = now(CLOCK_MONOTONIC);
  pause_ms(30);
  double slept = now(CLOCK_MONOTONIC) - monotonic;
  CHECK(slept > 0.0299 && slept < 5);
  struct timeval wall;
  CHECK(gettimeofday(&wall, NULL) == 0 && labs(wall.tv_sec - time(NULL)) <= 1);
  pid_t pid = fork();
  if (pid == 0) {
    own = now(CLOCK_PROCESS_CPUTIME_ID);
    while (now(CLOCK_PROCESS_CPUTIME_ID) - own < 0.05) sum++;
    _exit(0);
  }
  say_ending("child", pid);
  CHECK(getrusage(RUSAGE_CHILDREN, &usage) == 0);
  CHECK(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + 1000000 * usage.ru_utime.tv_sec > 30000);
  say("clocks agree");
  return 0;
}
