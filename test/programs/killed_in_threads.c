/* A fatal signal in one thread ends all threads, and the status names that signal. */
#include "check.h"

static void *sleeper(void *unused) {
  for (;;) pause();
  return unused;
}
static void *spinner(void *unused) {
  for (;;) __asm__ volatile("pause");
  return unused;
}
static void *faulter(void *unused) {
  pause_ms(20);
  *(volatile char *)16 = 1;
  return unused;
}
static void *exiter(void *unused) {
  pause_ms(20);
  exit(17);
  return unused;
}

static void with(void *(*ender)(void *), const char *who) {
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, sleeper, NULL);
    pthread_create(&thread, NULL, spinner, NULL);
    pthread_create(&thread, NULL, ender, NULL);
    pthread_join(thread, NULL);
    _exit(1);
  }
  say_ending(who, pid);
}

int main(void) {
  with(faulter, "fault");
  with(exiter, "exit");
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, i & 1 ? sleeper : spinner, NULL);
    pause();
  }
  pause_ms(30);
  kill(pid, SIGTERM);
  say_ending("terminated from outside", pid);
  return 0;
}
