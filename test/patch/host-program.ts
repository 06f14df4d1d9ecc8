/**
 * A program that patches itself on command, so that linked patches run natively: `run` prints what the subject
 * reports, `symbol` looks a name up in the shared libraries, `load` maps images and overwrites code.
 */
export const HOST_PROGRAM = String.raw`
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef LINK_LIBRARY_FUNCTIONS
/* A static program has only the library functions that something refers to. */
#include <ctype.h>
#include <errno.h>
void *volatile linked[] = {(void *)abs, (void *)toupper, (void *)atoi, (void *)strlen, (void *)__errno_location};
#endif

extern const char __ehdr_start[];
void report(void);

static size_t decode(const char *text, unsigned char **bytes) {
  size_t length = strcspn(text, "\n") / 2;
  *bytes = malloc(length + 1);
  for (size_t i = 0; i < length; i++) {
    unsigned byte;
    sscanf(text + 2 * i, "%2x", &byte);
    (*bytes)[i] = byte;
  }
  return length;
}

static void load(const char *path) {
  FILE *script = fopen(path, "r");
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, script) > 0) {
    char verb[8], protection[8];
    unsigned long address;
    int at = 0;
    unsigned char *bytes;
    sscanf(line, "%7s %lx %7s %n", verb, &address, protection, &at);
    size_t length = decode(line + at, &bytes);
    if (strcmp(verb, "map") == 0) {
      void *got = mmap((void *)address, length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
      if (got != (void *)address) { perror("mmap"); exit(3); }
      memcpy(got, bytes, length);
      int bits = PROT_READ | (strchr(protection, 'w') ? PROT_WRITE : 0) | (strchr(protection, 'x') ? PROT_EXEC : 0);
      mprotect(got, length, bits);
    } else {
      unsigned long page = address & ~4095ul;
      mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
      memcpy((void *)address, bytes, length);
      mprotect((void *)page, 4096, PROT_READ | PROT_EXEC);
    }
    free(bytes);
  }
  free(line);
  fclose(script);
}

int main(void) {
  char line[4096];
  printf("%lx\n", (unsigned long)__ehdr_start);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "run", 3) == 0) report();
    else if (strncmp(line, "symbol ", 7) == 0) printf("%lx", (unsigned long)dlsym(RTLD_DEFAULT, line + 7));
    else if (strncmp(line, "load ", 5) == 0) load(line + 5);
    printf("\n");
    fflush(stdout);
  }
  return 0;
}
`;
