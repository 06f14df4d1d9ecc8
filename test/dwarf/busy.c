/* Two threads that are always somewhere in calls: short functions, callbacks, calls through the PLT. */
#include <alloca.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

__attribute__((noinline, noclone)) static int tree(int depth, int seed) {
  if (depth == 0) return seed & 3;
  int left = tree(depth - 1, seed * 3 + 1);
  int right = tree(depth - 1, seed * 5 + left);
  return left + right * seed;
}

__attribute__((noinline, noclone)) static int copying(int size) {
  char *block = alloca(size + 16);
  memset(block, size, size + 16);
  char *copy = malloc(size + 16);
  memcpy(copy, block, size + 16);
  int value = copy[size / 2] + abs(size) + atoi("42");
  free(copy);
  return value;
}

static void *work(void *argument) {
  volatile int sum = 0;
  for (int round = 0;; round++) {
    int values[32];
    for (int i = 0; i < 32; i++) values[i] = (i * 37 + round) % 64;
    if (argument) qsort(values, 32, sizeof(int), compare);
    sum += tree(4, round) + copying(round % 300) + values[round % 32];
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, work, &thread);
  puts("ready");
  fflush(stdout);
  work(NULL);
}
