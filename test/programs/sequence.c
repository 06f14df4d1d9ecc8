/* Interprets scripts of memory system calls and prints, after each, what another thread sees of the memory.
   usage: sequence THREADS SCRIPT...   (each script runs in a child of its own)
   A script line is "THREAD CALL ARGUMENTS..."; pages count from the start of an arena, or of a numbered block
   whose place the kernel chose. With ATLAS_TEST_THREADS naming a folder, the child writes its thread ids to
   FOLDER/PID.threads and waits for FOLDER/PID.moved. */
#include <setjmp.h>
#include "check.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define ARENA_PAGES 48
#define BLOCKS 6
#define BLOCK_PAGES 24
#define FILE_PAGES 10

struct block {
  char *start;
  char owned[BLOCK_PAGES];
};

static char *arena;
static struct block blocks[BLOCKS];
static int file_descriptor;
static char *break_start;
static long break_pages;
static char maps[1 << 18];
static __thread sigjmp_buf escape;

static void handler(int number) { siglongjmp(escape, number); }

/* ---- what is there: protection as the kernel says it, as the thread feels it, and a checksum */

static void read_maps(void) {
  int fd = open("/proc/self/maps", O_RDONLY);
  CHECK(fd >= 0);
  size_t length = 0;
  for (ssize_t n; (n = read(fd, maps + length, sizeof maps - 1 - length)) > 0;) length += n;
  CHECK(length < sizeof maps - 1);
  maps[length] = 0;
  close(fd);
}

static const char *protection(const char *page) {
  static __thread char found[4];
  for (char *line = maps; line != NULL && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
    char *end;
    unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, &end, 16);
    if ((unsigned long)page < from || (unsigned long)page >= to) continue;
    memcpy(found, end + 1, 3);
    return found;
  }
  return NULL;
}

static void describe_page(char *page, const char *rights, char *token, size_t size) {
  int fault = sigsetjmp(escape, 1);
  if (fault != 0) {
    snprintf(token, size, "%s!%d", rights, fault);
    return;
  }
  unsigned sum = 0;
  for (size_t i = 0; i < PAGE; i++) sum = sum * 31 + ((volatile unsigned char *)page)[i];
  fault = sigsetjmp(escape, 1);
  if (fault != 0) {
    snprintf(token, size, "%s=%x", rights, sum);
    return;
  }
  *(volatile char *)page = *(volatile char *)page;
  snprintf(token, size, "%s+%x", rights, sum);
}

/* Equal neighbours are shown once, with their number. */
static void show_token(const char *token) {
  static char last[40];
  static int count;
  if (token != NULL && strcmp(token, last) == 0) {
    count++;
    return;
  }
  if (count == 1) printf(" %s", last);
  else if (count > 1) printf(" %s*%d", last, count);
  count = token != NULL;
  snprintf(last, sizeof last, "%s", token != NULL ? token : "");
}

static void show_page(char *page) {
  const char *rights = protection(page);
  char token[40] = ".";
  if (rights != NULL) describe_page(page, rights, token, sizeof token);
  show_token(token);
}
static void show(int wide) {
  read_maps();
  if (!wide) {
    for (int i = 0; i < ARENA_PAGES; i++) show_page(arena + i * PAGE);
  } else {
    for (int b = 0; b < BLOCKS; b++) {
      printf(" |%d", b);
      for (int i = 0; i < BLOCK_PAGES; i++)
        if (blocks[b].owned[i]) show_page(blocks[b].start + i * PAGE);
        else show_token("_");
      show_token(NULL);
    }
  }
  show_token(NULL);
  printf(" brk");
  for (long i = 0; i < break_pages; i++) show_page(break_start + i * PAGE);
  show_token(NULL);
  say(" ");
}

/* ---- the calls */

static void outcome(void *result, const void *base) {
  if (result == MAP_FAILED) printf("error %d:", errno);
  else printf("at %ld:", (long)(((char *)result - (char *)base) / (long)PAGE));
}
static void status(long result) { result == 0 ? printf("done:") : printf("error %d:", errno); }

static int owned(int b, long first, long count) {
  if (count <= 0 || first + count > BLOCK_PAGES) return 0;
  for (long i = first; i < first + count; i++)
    if (!blocks[b].owned[i]) return 0;
  return 1;
}

static void fill(char *page, long count, long value) {
  for (long i = 0; i < count; i++) {
    if (sigsetjmp(escape, 1) == 0) memset(page + i * PAGE, (int)(value + i), PAGE);
    else putchar('!');
  }
  printf("filled:");
}

static void set_break(long change) {
  if (break_pages + change < 0) change = -break_pages;
  char *wanted = break_start + (break_pages + change) * PAGE;
  if ((char *)syscall(SYS_brk, wanted) == wanted) break_pages += change;
  else printf("refused ");
  printf("break %ld:", break_pages);
}

static void block_call(const char *call, const long *n) {
  int b = (int)n[0];
  struct block *block = &blocks[b];
  if (strcmp(call, "new") == 0) {
    if (block->start != NULL) {
      for (int i = 0; i < BLOCK_PAGES; i++)
        if (block->owned[i]) CHECK(munmap(block->start + i * PAGE, PAGE) == 0);
      memset(block, 0, sizeof *block);
    }
    block->start = mmap(NULL, n[1] * PAGE, (int)n[2], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block->start != MAP_FAILED);
    memset(block->owned, 1, n[1]);
    printf("new:");
  } else if (!owned(b, n[1], n[2])) {
    printf("skipped:");
  } else if (strcmp(call, "drop") == 0) {
    status(munmap(block->start + n[1] * PAGE, n[2] * PAGE));
    memset(block->owned + n[1], 0, n[2]);
  } else if (strcmp(call, "set") == 0) {
    status(mprotect(block->start + n[1] * PAGE, n[2] * PAGE, (int)n[3]));
  } else if (strcmp(call, "hint") == 0) {
    status(madvise(block->start + n[1] * PAGE, n[2] * PAGE, (int)n[3]));
  } else if (strcmp(call, "put") == 0) {
    fill(block->start + n[1] * PAGE, n[2], n[3]);
  } else if (strcmp(call, "resize") == 0) {
    /* Only a block that is owned from its first page on, and nothing else, moves as a whole. */
    long size = 0;
    while (size < BLOCK_PAGES && block->owned[size]) size++;
    if (!owned(b, 0, size) || memchr(block->owned + size, 1, BLOCK_PAGES - size)) {
      printf("skipped:");
      return;
    }
    char *moved = mremap(block->start, size * PAGE, n[3] * PAGE, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
      printf("error %d:", errno);
      return;
    }
    block->start = moved;
    memset(block->owned, 0, BLOCK_PAGES), memset(block->owned, 1, n[3]);
    printf("resized:");
  } else {
    CHECK(!"a known call");
  }
}

static void arena_call(const char *call, const long *n) {
  char *at = arena + n[0] * PAGE;
  if (strcmp(call, "map") == 0) {
    outcome(mmap(at, n[1] * PAGE, (int)n[2], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), arena);
  } else if (strcmp(call, "noreplace") == 0) {
    outcome(mmap(at, n[1] * PAGE, (int)n[2], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), arena);
  } else if (strcmp(call, "shared") == 0) {
    outcome(mmap(at, n[1] * PAGE, (int)n[2], MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0), arena);
  } else if (strcmp(call, "file") == 0) {
    int type = n[4] ? MAP_SHARED : MAP_PRIVATE;
    outcome(mmap(at, n[1] * PAGE, (int)n[2], type | MAP_FIXED, file_descriptor, n[3] * (long)PAGE), arena);
  } else if (strcmp(call, "badfile") == 0) {
    outcome(mmap(at, n[1] * PAGE, (int)n[2], (n[3] ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, 987, 0), arena);
  } else if (strcmp(call, "beyond") == 0) {
    /* Ranges that are none: to the end of the address space, backwards, far above it. */
    unsigned long lengths[] = {(1UL << 47) - (unsigned long)at, -(unsigned long)PAGE, 1UL << 53, (1UL << 63) + PAGE};
    unsigned long length = lengths[n[1] % 4];
    if (n[2] == 0) status(syscall(SYS_munmap, at, length));
    else if (n[2] == 1) status(syscall(SYS_madvise, at, -PAGE, MADV_DONTNEED)); /* the other ranges hold all above it */
    else if (n[2] == 2) status(syscall(SYS_mprotect, at + 1, length, PROT_NONE));
    else outcome((void *)syscall(SYS_mmap, at, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), arena);
  } else if (strcmp(call, "seal") == 0) {
    long result = syscall(SYS_mseal, at, n[1] * PAGE, 0);
    if (result == -1 && errno == ENOSYS) printf("no seals:");
    else status(result);
  } else if (strcmp(call, "unmap") == 0) {
    status(munmap(at, n[1] * PAGE));
  } else if (strcmp(call, "protect") == 0) {
    status(mprotect(at, n[1] * PAGE, (int)n[2]));
  } else if (strcmp(call, "advise") == 0) {
    status(madvise(at, n[1] * PAGE, (int)n[2]));
  } else if (strcmp(call, "fill") == 0) {
    fill(at, n[1], n[2]);
  } else if (strcmp(call, "remap") == 0) {
    outcome(mremap(at, n[1] * PAGE, n[2] * PAGE, 0), arena);
  } else if (strcmp(call, "move") == 0) {
    outcome(mremap(at, n[1] * PAGE, n[2] * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, arena + n[3] * PAGE), arena);
  } else {
    CHECK(!"a known call");
  }
}

static int is_block_call(const char *call) {
  return !strcmp(call, "new") || !strcmp(call, "drop") || !strcmp(call, "set") || !strcmp(call, "hint") ||
         !strcmp(call, "put") || !strcmp(call, "resize");
}

static void perform(const char *line) {
  char call[20];
  long n[5] = {0};
  int thread;
  CHECK(sscanf(line, "%d %19s %ld %ld %ld %ld %ld", &thread, call, &n[0], &n[1], &n[2], &n[3], &n[4]) >= 3);
  printf("%.*s -> ", (int)strcspn(line, "\n"), line);
  if (strcmp(call, "break") == 0) set_break(n[0]);
  else if (is_block_call(call)) block_call(call, n);
  else arena_call(call, n);
}

/* ---- threads take turns: one performs a line, the next shows the memory */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int thread_count, turn = -1, showing, finished, wide;
static const char *current;
static pid_t tids[16];

static void *thread_main(void *number) {
  int me = (int)(long)number;
  pthread_mutex_lock(&mutex);
  tids[me] = gettid();
  pthread_cond_broadcast(&changed);
  while (!finished) {
    if (turn != me) {
      pthread_cond_wait(&changed, &mutex);
      continue;
    }
    if (showing) {
      show(wide);
      turn = -1;
    } else {
      perform(current);
      turn = (me + 1) % thread_count;
    }
    showing = !showing;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&mutex);
  return NULL;
}

static void wait_until_moved(void) {
  const char *folder = getenv("ATLAS_TEST_THREADS");
  if (folder == NULL) return;
  char path[500], final[500];
  snprintf(path, sizeof path, "%s/new", folder), snprintf(final, sizeof final, "%s/%d.threads", folder, getpid());
  FILE *file = fopen(path, "w");
  for (int i = 0; i < thread_count; i++) fprintf(file, "%d\n", tids[i]);
  CHECK(fclose(file) == 0 && rename(path, final) == 0);
  snprintf(path, sizeof path, "%s/%d.moved", folder, getpid());
  while (access(path, F_OK) != 0) pause_ms(5);
}

static void run_script(const char *path) {
  static char script[1 << 16];
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0);
  ssize_t length = read(fd, script, sizeof script - 1);
  CHECK(length >= 0 && length < (ssize_t)sizeof script - 1);
  close(fd);
  FILE *file = tmpfile();
  file_descriptor = fileno(file);
  for (int i = 0; i < FILE_PAGES * (int)PAGE - 100; i++) fputc(i / 100 % 251, file);
  fflush(file);
  arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_t threads[16];
  for (long i = 0; i < thread_count; i++) CHECK(pthread_create(&threads[i], NULL, thread_main, (void *)i) == 0);
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < thread_count; i++)
    while (tids[i] == 0) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  wait_until_moved();
  /* Nothing may allocate from here on: the break and the free places belong to the script. */
  break_start = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & ~(PAGE - 1));
  CHECK(brk(break_start) == 0);
  for (char *line = script; *line; line = strchr(line, '\n') + 1) {
    char call[20];
    CHECK(sscanf(line, "%*d %19s", call) == 1);
    if (is_block_call(call)) wide = 1;
  }
  for (char *line = script; *line; line = strchr(line, '\n') + 1) {
    pthread_mutex_lock(&mutex);
    current = line;
    turn = atoi(line) % thread_count;
    pthread_cond_broadcast(&changed);
    while (turn != -1) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
  }
  pthread_mutex_lock(&mutex);
  finished = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  thread_count = atoi(argv[1]);
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL), sigaction(SIGBUS, &action, NULL);
  for (int i = 2; i < argc; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      run_script(argv[i]);
      fflush(stdout);
      _exit(0);
    }
    say_ending("script", pid);
  }
  return 0;
}
