/* Installs seccomp filters, makes system calls directly and through a gate page, and prints what each returned.
 *
 *     filter-probe GATE FILTER... -- CALL...
 *
 * GATE is the hexadecimal address to map the gate at; a FILTER is a file of struct sock_filter. A CALL is
 * "direct NUMBER ARGUMENT..." or "gate NUMBER ARGUMENT...", with numbers as strtoll(3) reads them and "buffer" for
 * the address of some memory.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long raw_call(void (*instruction)(void), long number, const long *a) {
  register long r10 __asm__("r10") = a[3];
  register long r8 __asm__("r8") = a[4];
  register long r9 __asm__("r9") = a[5];
  long result = number;
  __asm__ volatile("call *%1"
                   : "+a"(result)
                   : "b"(instruction), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

/* syscall; ret */
static const unsigned char instructions[] = {0x0f, 0x05, 0xc3};

static void *map_instructions(void *address, int flags) {
  void *page = mmap(address, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (page == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  memcpy(page, instructions, sizeof instructions);
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  return page;
}

static struct sock_fprog read_filter(const char *name) {
  struct sock_filter *code = calloc(4096, sizeof *code);
  FILE *file = fopen(name, "r");
  if (!file) {
    perror(name);
    exit(1);
  }
  struct sock_fprog program = {.len = fread(code, sizeof *code, 4096, file), .filter = code};
  fclose(file);
  return program;
}

int main(int argc, char **argv) {
  static long buffer[512];
  void *gate = map_instructions((void *)strtoul(argv[1], 0, 16), MAP_FIXED_NOREPLACE);
  void *direct = map_instructions(0, 0);
  /* stdio allocates its buffer with the first output: before the filters, which may stop brk and mmap. */
  printf("results\n");
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  struct sock_fprog filters[4];
  int count = 0, at = 2;
  for (; strcmp(argv[at], "--"); at++) filters[count++] = read_filter(argv[at]);
  for (int i = 0; i < count; i++) {
    /* Through the gate: the filter before may stop seccomp. */
    const long arguments[6] = {SECCOMP_SET_MODE_FILTER, 0, (long)&filters[i]};
    long result = raw_call((void (*)(void))gate, SYS_seccomp, arguments);
    if (result) {
      fprintf(stderr, "seccomp: %s\n", strerror(-result));
      exit(1);
    }
  }
  for (at++; at < argc; at++) {
    void *instruction = strcmp(strtok(argv[at], " "), "gate") ? direct : gate;
    long words[7] = {0};
    char *word;
    for (int i = 0; i < 7 && (word = strtok(0, " ")); i++)
      words[i] = strcmp(word, "buffer") ? strtoll(word, 0, 0) : (long)buffer;
    printf("%ld\n", raw_call((void (*)(void))instruction, words[0], words + 1));
  }
  fflush(stdout);
  /* A stub's filter stops exit_group too. */
  raw_call((void (*)(void))gate, SYS_exit_group, (const long[6]){0});
}
