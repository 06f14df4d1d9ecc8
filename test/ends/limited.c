/*
 * limited END USER births: as that user, when the file END.limit appears, raises the limit of tasks from 1 on until a thread can be born.
 * limited END USER sleep: no further task is allowed while the file END.limit exists; two threads sleep briefly.
 * Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"
#include <sys/resource.h>

static const char *end_file;

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void *sleeper(void *nothing) {
  while (!exists("")) pause_ms(10);
  return nothing;
}

static void *newborn(void *nothing) {
  return nothing;
}

static void allow(rlim_t tasks) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
  limit.rlim_cur = tasks == 0 ? limit.rlim_max : tasks;
  CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

static void give_birth(void) {
  pthread_t thread;
  int refused = 0, error = EAGAIN;
  for (rlim_t tasks = 1; error != 0 && tasks < 2000; tasks++) {
    allow(tasks);
    error = pthread_create(&thread, NULL, newborn, NULL);
    if (error != 0 && error != EAGAIN) say("error %d", error);
    if (error == EAGAIN) refused++;
  }
  CHECK(error == 0 && refused > 0 && pthread_join(thread, NULL) == 0);
  allow(0);
  say("born");
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  end_file = argv[1];
  uid_t user = (uid_t)atol(argv[2]);
  CHECK(setresuid(user, user, user) == 0);
  int births = strcmp(argv[3], "births") == 0;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, sleeper, NULL) == 0);
  say("ready");
  for (int was = 0; !exists("");) {
    int limit = exists(".limit");
    if (limit != was) {
      was = limit;
      if (!births) allow(limit);
      else if (limit) give_birth();
      if (!births) say(limit ? "limited" : "free");
    }
    if (births) CHECK(syscall(SYS_getppid) > 0);
    else pause_ms(5);
  }
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  say("all right");
  return 0;
}
