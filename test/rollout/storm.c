/*
 * Threads that do what is hard to move: they fork, are born and end, signal each other, map and unmap, and sleep
 * with time-outs, and check everything. Ends when the file named by the argument exists, with a line of sums.
 */
#define _GNU_SOURCE
#include "check.h"
#include <poll.h>
#include <spawn.h>

extern char **environ;

enum { SIGNALLED = 2 };

static const char *end_file;
static volatile int over;
static pthread_t targets[SIGNALLED];
static _Atomic long sent[SIGNALLED], handled[SIGNALLED];
static _Atomic int ready;
static _Thread_local int self = -1;
static long turns[6];

static void on_signal(int signal) {
  CHECK(signal == SIGUSR1 && self >= 0);
  handled[self]++;
}

static void *forker(void *turn) {
  char *private = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long *count = turn; !over; ++*count) {
    memset(private, (int)*count, 8 * PAGE);
    pid_t parent = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      CHECK(getppid() == parent && private[PAGE] == (char)*count);
      memset(private, 77, 8 * PAGE);
      _exit((int)*count & 63);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == (*count & 63));
    CHECK(private[PAGE] == (char)*count && private[7 * PAGE] == (char)*count);
  }
  return NULL;
}

static void *short_lived(void *value) {
  int local = *(int *)value;
  if (local % 3 == 0) pause_ms(1);
  *(int *)value = local + 1;
  return value;
}

static void *begetter(void *turn) {
  for (long *count = turn; !over; ++*count) {
    pthread_t threads[3];
    int values[3];
    for (int i = 0; i < 3; i++) {
      values[i] = (int)*count + i;
      CHECK(pthread_create(&threads[i], NULL, short_lived, &values[i]) == 0);
    }
    for (int i = 0; i < 3; i++) {
      void *result;
      errno = pthread_join(threads[i], &result);
      CHECK(errno == 0);
      CHECK(result == &values[i]);
      CHECK(values[i] == (int)*count + i + 1);
    }
  }
  return NULL;
}

/* One target computes, the other sleeps in calls that a handler interrupts. */
static void *target(void *index) {
  self = (int)(intptr_t)index;
  ready++;
  unsigned long sum = 0;
  while (!over || handled[self] < sent[self]) {
    if (self == 0) {
      for (int i = 0; i < 1000; i++) sum = sum * 31 + i;
    } else {
      struct timespec time = {0, 3000000};
      CHECK(nanosleep(&time, &time) == 0 || errno == EINTR);
    }
  }
  return (void *)(sum | 1);
}

static void *signaller(void *turn) {
  for (long *count = turn; !over; ++*count) {
    int to = (int)(*count % SIGNALLED);
    /* Signals of one number are not counted by the kernel: one at a time. */
    sent[to]++;
    errno = pthread_kill(targets[to], SIGUSR1);
    CHECK(errno == 0);
    while (handled[to] < sent[to]) sched_yield();
    pause_ms(1);
  }
  return NULL;
}

static void *mapper(void *turn) {
  for (long *count = turn; !over; ++*count) {
    size_t size = (1 + *count % 40) * PAGE;
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED && all_zero(area, size));
    memset(area, 1, size);
    if (*count % 3 == 0) {
      CHECK(madvise(area, size, MADV_DONTNEED) == 0 && all_zero(area, size));
    } else if (*count % 3 == 1) {
      char *moved = mremap(area, size, size + 4 * PAGE, MREMAP_MAYMOVE);
      CHECK(moved != MAP_FAILED && moved[size - 1] == 1 && all_zero(moved + size, 4 * PAGE));
      area = moved, size += 4 * PAGE;
    } else {
      CHECK(mprotect(area, size, PROT_READ) == 0 && area[size - 1] == 1);
    }
    CHECK(munmap(area, size) == 0);
    char *block = malloc(300000);
    memset(block, 2, 300000);
    free(block);
  }
  return NULL;
}

/* Nobody signals this one: a sleep that ends early, or a call that is interrupted, is a fault. */
static void *sleeper(void *turn) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  struct pollfd wait = {.fd = ends[0], .events = POLLIN};
  for (long *count = turn; !over; ++*count) {
    struct timespec before, after, time = {0, 2000000};
    CHECK(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
    CHECK(*count % 2 == 0 ? nanosleep(&time, NULL) == 0 : poll(&wait, 1, 2) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    CHECK((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 2000000);
  }
  return NULL;
}

static void *spawner(void *turn) {
  for (long *count = turn; !over; ++*count) {
    char *const command[] = {"true", NULL};
    pid_t pid;
    CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, command, environ) == 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) say("the spawned program: status 0x%x", status);
    CHECK(status == 0);
    pause_ms(5);
  }
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  end_file = argv[1];
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  void *(*const work[])(void *) = {forker, begetter, signaller, mapper, sleeper, spawner};
  pthread_t threads[6];
  for (intptr_t i = 0; i < SIGNALLED; i++) CHECK(pthread_create(&targets[i], NULL, target, (void *)i) == 0);
  while (ready < SIGNALLED) sched_yield();
  for (int i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, work[i], &turns[i]) == 0);
  say("under way");
  while (access(end_file, F_OK) != 0) pause_ms(10);
  over = 1;
  for (int i = 0; i < 6; i++) CHECK(pthread_join(threads[i], NULL) == 0 && turns[i] > 0);
  for (int i = 0; i < SIGNALLED; i++) CHECK(pthread_join(targets[i], NULL) == 0 && handled[i] == sent[i]);
  say("all right");
  return 0;
}
