/* The program around every case: three threads that print what they see whenever it is something else. */
#include <pthread.h>
#include <unistd.h>
#include "stage.h"

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *watch(void *number) {
  char last[LINE_SIZE] = "", line[LINE_SIZE];
  for (;;) {
    pthread_mutex_lock(&turn);
    memset(line, 0, sizeof line);
    look(line);
    pthread_mutex_unlock(&turn);
    if (strcmp(line, last) != 0) {
      printf("%d %s\n", (int)(long)number, line);
      strcpy(last, line);
    }
    usleep(2000);
  }
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("pid %d\n", (int)getpid());
  setup();
  pthread_t thread;
  for (long number = 0; number < 2; number++) pthread_create(&thread, NULL, watch, (void *)number);
  watch((void *)2);
}
