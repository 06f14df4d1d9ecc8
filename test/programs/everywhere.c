/* Calls that change an address space or the whole process, made by one thread; another looks at what they did.
   With ATLAS_TEST_THREADS naming a folder, it writes the threads' ids to FOLDER/PID.threads and waits for
   FOLDER/PID.moved: the test moves one of the two. usage: everywhere MAKER (0 or 1) */
#include <sys/resource.h>
#include <sys/shm.h>
#include <setjmp.h>
#include "check.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static __thread sigjmp_buf escape;
static void handler(int number) { siglongjmp(escape, number); }

/* ---- what the looking thread finds */

static const char *read_at(const char *at) {
  static __thread char text[20];
  int fault = sigsetjmp(escape, 1);
  if (fault != 0) snprintf(text, sizeof text, "signal %d", fault);
  else snprintf(text, sizeof text, "%d", *(const volatile char *)at);
  return text;
}

static const char *write_at(char *at) {
  static __thread char text[20];
  int fault = sigsetjmp(escape, 1);
  if (fault != 0) snprintf(text, sizeof text, "signal %d", fault);
  else {
    *(volatile char *)at = 'w';
    snprintf(text, sizeof text, "written");
  }
  return text;
}

static char *segment, *area, *file;
static int segment_id, results[40], result_count;

/* ---- steps: `make` is called in one thread, `look` in the other */

static void note(long result) { results[result_count++] = result == -1 ? errno : 0; }

static void make_first(void) {
  area = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(area, 'a', 16 * PAGE);
  segment_id = shmget(IPC_PRIVATE, 4 * PAGE, 0600);
  segment = shmat(segment_id, NULL, 0);
  segment[0] = 's';
  FILE *temporary = tmpfile();
  CHECK(ftruncate(fileno(temporary), 4 * PAGE) == 0 && pwrite(fileno(temporary), "f", 1, 0) == 1);
  file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(temporary), 0);
  file[0] = 'p';
}
static void look_first(void) {
  printf("area %s,", read_at(area)); printf(" segment %s,", read_at(segment)); say(" file %s", read_at(file));
}

static void make_shmdt(void) { note(shmdt(segment)); }
static void look_shmdt(void) { say("detached: %s", read_at(segment)); }

static void make_remap(void) { note((long)shmat(segment_id, area + 4 * PAGE, SHM_REMAP)); }
static void look_remap(void) {
  printf("remapped: %s,", read_at(area + 4 * PAGE)); say(" before it: %s", read_at(area + 3 * PAGE));
}

static void make_detach(void) { note(shmdt(area + 4 * PAGE)), note(shmctl(segment_id, IPC_RMID, NULL)); }
static void look_detach(void) { say("detached again: %s", read_at(area + 4 * PAGE)); }

static void make_protect(void) { note(mprotect(area, PAGE, PROT_READ)), note(mprotect(area + PAGE, 4 * PAGE, PROT_NONE)); }
static void look_protect(void) {
  printf("protected: %s,", write_at(area)); printf(" %s,", read_at(area + PAGE)); say(" %s", read_at(area + 3 * PAGE));
}

static void make_raw(void) {
  note(syscall(SYS_munmap, -1L, 1)), note(syscall(SYS_munmap, -(long)PAGE, PAGE));
  note(syscall(SYS_munmap, (1UL << 53) + 1, PAGE)), note(syscall(SYS_munmap, 1UL << 63, PAGE));
  note(syscall(SYS_mprotect, (1UL << 63) + PAGE, PAGE, PROT_NONE)), note(syscall(SYS_mlock, -1L, 1));
  note(syscall(SYS_munmap, area, (1UL << 47) - (unsigned long)area));
}
static void look_raw(void) { say("still: %s", read_at(area)); }

static void make_seal(void) {
  int result = syscall(SYS_mseal, area + 8 * PAGE, PAGE, 0);
  note(result == -1 && errno == ENOSYS ? 0 : result);
}
static void look_seal(void) {
  int result = mprotect(area + 8 * PAGE, PAGE, PROT_NONE);
  say("sealed: %d, %s", result == -1 ? errno : 0, read_at(area + 8 * PAGE));
}

static void make_unmap(void) { note(munmap(area + 10 * PAGE, 2 * PAGE)); }
static void look_unmap(void) { printf("unmapped: %s,", read_at(area + 10 * PAGE)); say(" %s", read_at(area + 12 * PAGE)); }

static void make_over(void) {
  note((long)mmap(area + 10 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, open("/proc/self/exe", O_RDONLY), 0));
  note((long)mmap(area + 12 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}
static void look_over(void) { printf("over: %s,", read_at(area + 10 * PAGE)); say(" %s", read_at(area + 12 * PAGE)); }

static void make_discard(void) { note(madvise(file, PAGE, MADV_DONTNEED)), note(madvise(area + 13 * PAGE, PAGE, MADV_DONTNEED)); }
static void look_discard(void) { printf("discarded: %s,", read_at(file)); say(" %s", read_at(area + 13 * PAGE)); }

static void make_limits(void) {
  struct rlimit limit = {400000, 400000}, files = {200, 300};
  note(setrlimit(RLIMIT_CORE, &limit)), note(prlimit(getpid(), RLIMIT_MSGQUEUE, &limit, NULL));
  note(syscall(SYS_setrlimit, RLIMIT_NOFILE, &files));
}
static void look_limits(void) {
  struct rlimit core, queue, files;
  CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && getrlimit(RLIMIT_MSGQUEUE, &queue) == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0);
  int last = -1;
  for (int fd; (fd = dup(0)) >= 0;) last = fd;
  say("limits: %ld %ld %ld, last descriptor %d", (long)core.rlim_cur, (long)queue.rlim_cur, (long)files.rlim_cur, last);
}

static void make_barrier(void) {
  note(syscall(SYS_membarrier, 1 << 4 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0));
  note(syscall(SYS_membarrier, 1 << 3 /* PRIVATE_EXPEDITED */, 0, 0));
}
static void look_barrier(void) {
  int result = syscall(SYS_membarrier, 1 << 3, 0, 0);
  say("barrier: %d", result == -1 ? errno : 0);
}

static void make_lock(void) { note(mlock(area + 14 * PAGE, PAGE)), note(munlock(area + 14 * PAGE, PAGE)); }
static void look_lock(void) {
  int result = madvise(area + 14 * PAGE, PAGE, MADV_DONTNEED);
  say("unlocked: %d %s", result == -1 ? errno : 0, read_at(area + 14 * PAGE));
}

static void (*const steps[][2])(void) = {
    {make_first, look_first},   {make_shmdt, look_shmdt},     {make_remap, look_remap},     {make_detach, look_detach},
    {make_protect, look_protect}, {make_raw, look_raw},       {make_seal, look_seal},       {make_unmap, look_unmap},
    {make_over, look_over},     {make_discard, look_discard}, {make_barrier, look_barrier}, {make_lock, look_lock},
    {make_limits, look_limits},
};
enum { STEPS = sizeof steps / sizeof *steps };

/* ---- the two threads take turns */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn = -1, maker;
static pid_t tids[2];

static void *run(void *number) {
  int me = (int)(long)number;
  pthread_mutex_lock(&mutex);
  tids[me] = gettid();
  pthread_cond_broadcast(&changed);
  for (int at = 0; at < 2 * STEPS; at++) {
    if ((at % 2 == 0) != (me == maker)) continue;
    while (turn != at) pthread_cond_wait(&changed, &mutex);
    steps[at / 2][at % 2]();
    turn++;
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
  FILE *out = fopen(path, "w");
  fprintf(out, "%d\n%d\n", tids[0], tids[1]);
  CHECK(fclose(out) == 0 && rename(path, final) == 0);
  snprintf(path, sizeof path, "%s/%d.moved", folder, getpid());
  while (access(path, F_OK) != 0) pause_ms(5);
}

int main(int argc, char **argv) {
  maker = argc > 1 ? atoi(argv[1]) : 0;
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL), sigaction(SIGBUS, &action, NULL);
  pthread_t threads[2];
  for (long i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
  pthread_mutex_lock(&mutex);
  while (!tids[0] || !tids[1]) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  wait_until_moved();
  pthread_mutex_lock(&mutex);
  turn = 0;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < result_count; i++) printf("%d ", results[i]);
  say("results");
  return 0;
}
