/* Which seccomp filters the kernel takes, what it says of the others, and what their verdicts do: the longest ones,
   malformed ones, verdicts that need a tracer or a listener, all threads at once, and an allow list that kills. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include "check.h"

#define LONGEST 4096
#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RETURN(verdict) BPF_STMT(BPF_RET | BPF_K, verdict)
#define ON(number, verdict) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RETURN(verdict)

static struct sock_filter code[6000];

static long install(unsigned flags, const struct sock_filter *filter, unsigned count) {
  struct sock_fprog program = {count, (struct sock_filter *)filter};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result == -1 ? -errno : result;
}

static void fill(unsigned from, unsigned to, struct sock_filter with) {
  for (unsigned i = from; i < to; i++) code[i] = with;
}

/* In a child of its own, which then says what two calls lead to. */
static void try(const char *what, unsigned count) {
  pid_t pid = fork();
  if (pid == 0) {
    long result = install(0, code, count);
    long parent = syscall(SYS_getppid);
    int parent_errno = errno;
    void *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("%s: %ld; getppid %s errno %d, mode %d, memory %s", what, result, parent > 0 ? "works" : "fails",
        parent > 0 ? 0 : parent_errno, prctl(PR_GET_SECCOMP), mapped == MAP_FAILED ? "fails" : "works");
    _exit(0);
  }
  say_ending(what, pid);
}

static void lengths(void) {
  const struct sock_filter forbids[] = {NUMBER, ON(SYS_getppid, SECCOMP_RET_ERRNO | 77), RETURN(SECCOMP_RET_ALLOW)};
  struct { const char *name; struct sock_filter padding; } paddings[] = {
      {"loads", NUMBER},
      {"jumps", BPF_STMT(BPF_JMP | BPF_JA, 0)},
      {"sums", BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1)},
      {"stores", BPF_STMT(BPF_ST, 3)},
      {"branches", BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 7, 0, 0)},
  };
  for (unsigned i = 0; i < sizeof paddings / sizeof *paddings; i++) {
    for (int excess = -20; excess <= 1; excess += excess == -20 ? 13 : 7 - (excess == 0) * 6) {
      unsigned count = LONGEST + excess;
      fill(0, count - 4, paddings[i].padding);
      memcpy(code + count - 4, forbids, sizeof forbids);
      char what[100];
      snprintf(what, sizeof what, "%s, %u instructions", paddings[i].name, count);
      try(what, count);
    }
  }
  /* As library-made filters are: one comparison and one verdict for each number. */
  code[0] = (struct sock_filter)NUMBER;
  for (unsigned i = 1; i + 2 < LONGEST; i += 2) {
    unsigned number = i == 1001 ? SYS_getppid : 1000 + i;
    const struct sock_filter pair[] = {ON(number, SECCOMP_RET_ERRNO | 77)};
    memcpy(code + i, pair, sizeof pair);
  }
  code[LONGEST - 1] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
  try("a list, 4096 instructions", LONGEST);
  fill(0, 4504, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
  try("4504 instructions", 4504);
  try("no instruction", 0);
}

static void malformed(void) {
  struct { const char *what; struct sock_filter last[3]; } cases[] = {
      {"no return at the end", {NUMBER, NUMBER, NUMBER}},
      {"a jump to the end", {NUMBER, BPF_STMT(BPF_JMP | BPF_JA, 1), RETURN(SECCOMP_RET_ALLOW)}},
      {"a far jump", {NUMBER, BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), RETURN(SECCOMP_RET_ALLOW)}},
      {"a branch to the end", {NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), RETURN(SECCOMP_RET_ALLOW)}},
      {"an unknown operation", {NUMBER, BPF_STMT(0x1234, 0), RETURN(SECCOMP_RET_ALLOW)}},
      {"a remainder", {NUMBER, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RETURN(SECCOMP_RET_ALLOW)}},
      {"a division by zero", {NUMBER, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(SECCOMP_RET_ALLOW)}},
      {"a wide shift", {NUMBER, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN(SECCOMP_RET_ALLOW)}},
      {"a cell never stored", {BPF_STMT(BPF_LD | BPF_MEM, 1), NUMBER, RETURN(SECCOMP_RET_ERRNO)}},
      {"a load between words", {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), NUMBER, RETURN(SECCOMP_RET_ALLOW)}},
      {"a load behind the data", {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), NUMBER, RETURN(SECCOMP_RET_ALLOW)}},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    char what[100];
    memcpy(code, cases[i].last, sizeof cases[i].last);
    try(cases[i].what, 3);
    fill(0, LONGEST - 3, (struct sock_filter)NUMBER);
    memcpy(code + LONGEST - 3, cases[i].last, sizeof cases[i].last);
    snprintf(what, sizeof what, "%s, after many others", cases[i].what);
    try(what, LONGEST);
  }
  long page = (long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(munmap((void *)page, PAGE) == 0);
  say("a filter at nothing: %ld", install(0, (struct sock_filter *)page, 3));
  say("a filter beyond user space: %ld", install(0, (struct sock_filter *)-1L, 3));
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, page);
  say("a program at nothing: %ld %d", result, errno);
  say("an unknown flag: %ld", install(1u << 30, code, 3));
  result = syscall(SYS_seccomp, 77, 0, NULL);
  say("an unknown operation: %ld %d", result, errno);
}

static void verdicts(void) {
  struct { const char *what; unsigned verdict; } cases[] = {
      {"trace", SECCOMP_RET_TRACE | 5}, {"log", SECCOMP_RET_LOG}, {"kill", SECCOMP_RET_KILL_PROCESS},
      {"notify nobody", SECCOMP_RET_USER_NOTIF}, {"errno", SECCOMP_RET_ERRNO | 5}, {"trap", SECCOMP_RET_TRAP | 9},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct sock_filter filter[] = {NUMBER, ON(SYS_getppid, cases[i].verdict), RETURN(SECCOMP_RET_ALLOW)};
    memcpy(code, filter, sizeof filter);
    try(cases[i].what, 4);
    unsigned action = cases[i].verdict & SECCOMP_RET_ACTION_FULL, unknown = 0x12340000;
    say("available: %ld", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    long result = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown);
    say("not available: %ld %d", result, errno);
  }
  /* A computed verdict, from the first argument. */
  const struct sock_filter computed[] = {
      NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 1, 0), RETURN(SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)), BPF_STMT(BPF_RET | BPF_A, 0)};
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(install(0, computed, 5) == 0);
    long result = syscall(SYS_personality, SECCOMP_RET_ERRNO | 99);
    say("computed errno: %ld %d", result, errno);
    result = syscall(SYS_personality, SECCOMP_RET_TRACE | 99);
    say("computed trace: %ld %d", result, errno);
    _exit(0);
  }
  say_ending("computed", pid);
}

static void *caller(void *result) {
  *(long *)result = syscall(SYS_getppid);
  return NULL;
}

static void listener(void) {
  const struct sock_filter filter[] = {NUMBER, ON(SYS_getppid, SECCOMP_RET_USER_NOTIF), RETURN(SECCOMP_RET_ALLOW)};
  long fd = install(SECCOMP_FILTER_FLAG_NEW_LISTENER, filter, 4), result = 0;
  CHECK(fd >= 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, caller, &result) == 0);
  struct seccomp_notif request = {0};
  CHECK(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0);
  say("asked for %d by %s", request.data.nr, request.pid == (unsigned)getpid() ? "the leader" : "another thread");
  struct seccomp_notif_resp answer = {.id = request.id, .val = 4711};
  CHECK(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  say("answered: %ld", result);
  _exit(0);
}

static pthread_barrier_t barrier;

static void *asks(void *argument) {
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  long result = syscall(SYS_getppid);
  say("the other thread: %ld errno %d, mode %d", result, errno, prctl(PR_GET_SECCOMP));
  return argument;
}

static void all_threads(void) {
  const struct sock_filter filter[] = {NUMBER, ON(SYS_getppid, SECCOMP_RET_ERRNO | 77), RETURN(SECCOMP_RET_ALLOW)};
  pthread_t thread;
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0 && pthread_create(&thread, NULL, asks, NULL) == 0);
  pthread_barrier_wait(&barrier);
  say("for all threads: %ld", install(SECCOMP_FILTER_FLAG_TSYNC, filter, 4));
  pthread_barrier_wait(&barrier);
  CHECK(pthread_join(thread, NULL) == 0);
  _exit(0);
}

static void in_child(const char *what, void (*body)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(1);
  }
  say_ending(what, pid);
}

int main(void) {
  say("mode %d", prctl(PR_GET_SECCOMP));
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  lengths();
  malformed();
  verdicts();
  in_child("listener", listener);
  in_child("all threads", all_threads);
  /* An allow list that kills, by this thread itself. */
  const struct sock_filter list[] = {
      NUMBER, ON(SYS_getppid, SECCOMP_RET_ERRNO | 77), ON(SYS_write, SECCOMP_RET_ALLOW),
      ON(SYS_getpid, SECCOMP_RET_ALLOW), ON(SYS_exit_group, SECCOMP_RET_ALLOW), ON(SYS_mmap, SECCOMP_RET_ALLOW),
      ON(SYS_brk, SECCOMP_RET_ALLOW), ON(SYS_munmap, SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS)};
  say("an allow list: %ld", install(0, list, sizeof list / sizeof *list));
  long result = syscall(SYS_getppid);
  say("forbidden: %ld errno %d; allowed: %d", result, errno, syscall(SYS_getpid) > 0);
  char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && all_zero(memory, 1 << 20) && munmap(memory, 1 << 20) == 0);
  say("memory works");
  syscall(SYS_getuid);
  say("not reached");
  return 0;
}
