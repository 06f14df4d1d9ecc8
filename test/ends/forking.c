/*
 * forking END: one thread calls what is replaced, one forks all the while; a worker, forked when the file END.fork
 * appears, calls it too and writes what it sees to END.worker. Compiled once per VERSION, to patch one into the other.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif

static const char *end_file;
static volatile int over, seen;

__attribute__((noipa)) int answer(int argument) {
  return argument * 10 + VERSION;
}

static int exists(const char *suffix) {
  char path[500];
  snprintf(path, sizeof path, "%s%s", end_file, suffix);
  return access(path, F_OK) == 0;
}

static void *caller(void *nothing) {
  while (!over) {
    seen = answer(0);
    usleep(300);
  }
  return nothing;
}

static void *forker(void *nothing) {
  while (!over) {
    pid_t pid = fork();
    if (pid == 0) _exit(answer(0));
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
      printf("a child ended with status 0x%x\n", status);
      fflush(stdout);
      _exit(1);
    }
  }
  return nothing;
}

static int worker(void) {
  char path[500], text[20];
  snprintf(path, sizeof path, "%s.worker", end_file);
  int fd = open(path, O_RDWR | O_CREAT, 0644);
  while (access(end_file, F_OK) != 0) {
    int length = snprintf(text, sizeof text, "%d\n", answer(0));
    if (pwrite(fd, text, length, 0) != length) return 1;
    usleep(1000);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  end_file = argv[1];
  pthread_t threads[2];
  int forks = atoi(argv[2]);
  pthread_create(&threads[0], NULL, caller, NULL);
  if (forks) pthread_create(&threads[1], NULL, forker, NULL);
  puts("ready");
  fflush(stdout);
  pid_t pid = 0;
  while (!exists("")) {
    if (pid == 0 && exists(".fork") && (pid = fork()) == 0) return worker();
    usleep(1000);
  }
  over = 1;
  for (int i = 0; i <= forks; i++) pthread_join(threads[i], NULL);
  int status = 0;
  if (pid > 0) waitpid(pid, &status, 0);
  puts(status == 0 ? "all right" : "the worker failed");
  return status;
}
