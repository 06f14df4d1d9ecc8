/* The main stack grows to seven megabytes; pthread_getattr_np and getrlimit agree about it. */
#include <sys/resource.h>
#include "check.h"

__attribute__((noinline)) static long descend(long depth) {
  volatile char frame[1024];
  frame[0] = (char)depth;
  frame[1023] = (char)depth;
  return depth == 0 ? 0 : descend(depth - 1) + (frame[0] == (char)depth);
}

static void *thread_main(void *unused) {
  say("thread: %ld", descend(1500));
  return unused;
}

int main(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
  say("limit %ld", (long)limit.rlim_cur);
  say("depth %ld", descend(6800));
  pthread_attr_t attributes;
  CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
  void *lowest;
  size_t size;
  CHECK(pthread_attr_getstack(&attributes, &lowest, &size) == 0);
  char here;
  say("inside: %d, size is near the limit: %d", &here > (char *)lowest && &here < (char *)lowest + size,
      labs((long)size - (long)limit.rlim_cur) < 1 << 20);
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 2 << 20);
  CHECK(pthread_create(&thread, &attributes, thread_main, NULL) == 0 && pthread_join(thread, NULL) == 0);
  pid_t pid = fork();
  if (pid == 0) _exit(descend(6800) == 6800 ? 5 : 6);
  say_ending("child as deep", pid);
  return 0;
}
