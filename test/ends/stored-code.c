/*
 * stored-code END PROTECTION: two threads sleep by a system-call instruction that the program has written itself, into
 * memory that all generations share: one for long, one briefly and over and over. Ends when the file END exists.
 */
#define _GNU_SOURCE
#include "check.h"

static long (*call)(long number, const struct timespec *time, void *rest);
static volatile int over;

static void *sleeper(void *milliseconds) {
  long ms = (long)milliseconds;
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  do CHECK(call(SYS_nanosleep, &time, NULL) == 0);
  while (!over);
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  /* mov rax, rdi; mov rdi, rsi; mov rsi, rdx; syscall; ret */
  static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x0f, 0x05, 0xc3};
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  memcpy(page, code, sizeof code);
  CHECK(mprotect(page, PAGE, atoi(argv[2])) == 0);
  call = (void *)page;
  pthread_t briefly, for_long;
  CHECK(pthread_create(&for_long, NULL, sleeper, (void *)1000000L) == 0);
  CHECK(pthread_create(&briefly, NULL, sleeper, (void *)1L) == 0);
  say("ready");
  while (access(argv[1], F_OK) != 0) pause_ms(5);
  over = 1;
  CHECK(pthread_join(briefly, NULL) == 0);
  say("all right");
  return 0;
}
