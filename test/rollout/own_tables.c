/* One thread leaves the process's working directory (unshare), another does not; both work on until told to end. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static void *apart(void *unused) {
  if (unshare(CLONE_FS) != 0) perror("unshare");
  puts("apart");
  fflush(stdout);
  for (;;) usleep(1000);
  return unused;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, apart, NULL) != 0) return 1;
  for (;;) usleep(1000);
}
