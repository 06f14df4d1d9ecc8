/* One thread is set apart from its process, in its working directory or its credentials; another is not. Both work on. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *apart(void *how) {
  long result = strcmp(how, "credentials") == 0 ? syscall(SYS_setresuid, -1, 65534, -1) : unshare(CLONE_FS);
  if (result != 0) perror(how);
  puts("apart");
  fflush(stdout);
  for (;;) usleep(1000);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t thread;
  if (argc != 2 || pthread_create(&thread, NULL, apart, argv[1]) != 0) return 1;
  for (;;) usleep(1000);
}
