/* How a task is scheduled, and what else the kernel keeps for each one. */
#include "attribute.h"
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define UNAME26 0x0020000
#define BEST_EFFORT(level) (2 << 13 | (level))

/* Done by a helper to its creator, as a manager thread does. */
static pid_t target;
static long (*to_target)(pid_t);
static void *helps(void *result) {
  *(long *)result = to_target(target);
  return NULL;
}
static long by_another(long (*what)(pid_t)) {
  static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
  long result = 0;
  pthread_t helper;
  pthread_mutex_lock(&one);
  target = gettid();
  to_target = what;
  CHECK(pthread_create(&helper, NULL, helps, &result) == 0 && pthread_join(helper, NULL) == 0);
  pthread_mutex_unlock(&one);
  return result;
}

static long pin(pid_t tid) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  return RESULT(sched_setaffinity(tid, sizeof one, &one));
}
static long affinity(void) { return pin(0); }
static long affinity_by_another(void) { return by_another(pin); }
static void show_affinity(char *text) {
  cpu_set_t set;
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
  tell(text, "%d processors", CPU_COUNT(&set));
}

static long set_policy(pid_t tid, int policy, int priority) {
  struct sched_param parameter = {priority};
  return RESULT(sched_setscheduler(tid, policy, &parameter));
}
static void show_policy(char *text) {
  struct sched_param parameter;
  CHECK(sched_getparam(0, &parameter) == 0);
  tell(text, "%x, priority %d", sched_getscheduler(0), parameter.sched_priority);
}
static long batch(void) { return set_policy(0, SCHED_BATCH, 0); }
static long idle(void) { return set_policy(0, SCHED_IDLE, 0); }
static long real_time(void) { return set_policy(0, SCHED_RR, 1); }
static long not_inherited(void) { return set_policy(0, SCHED_BATCH | SCHED_RESET_ON_FORK, 0); }
static long be_batch(pid_t tid) { return set_policy(tid, SCHED_BATCH, 0); }
static long batch_by_another(void) { return by_another(be_batch); }

static long be_nice(pid_t tid) { return RESULT(setpriority(PRIO_PROCESS, tid, 7)); }
static long nice_value(void) { return be_nice(0); }
static long nice_by_another(void) { return by_another(be_nice); }
static void show_nice(char *text) { tell(text, "%d", getpriority(PRIO_PROCESS, 0)); }

static long input_priority(void) { return RESULT(syscall(SYS_ioprio_set, 1, 0, BEST_EFFORT(6))); }
static void show_input_priority(char *text) { tell(text, "%lx", syscall(SYS_ioprio_get, 1, 0)); }

static long slack(void) { return RESULT(prctl(PR_SET_TIMERSLACK, 1234567, 0, 0, 0)); }
static void show_slack(char *text) { tell(text, "%d", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)); }

static long name(void) { return RESULT(prctl(PR_SET_NAME, "renamed", 0, 0, 0)); }
static long name_by_another_of(pid_t tid) {
  char path[100];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
  int fd = open(path, O_WRONLY);
  long result = write(fd, "renamed", 7) == 7 ? 0 : -errno;
  close(fd);
  return result;
}
static long name_by_another(void) { return by_another(name_by_another_of); }
static void show_name(char *text) {
  char own[17] = {0};
  CHECK(prctl(PR_GET_NAME, own, 0, 0, 0) == 0);
  tell(text, "%s", own);
}

static long end_of_parent(void) { return RESULT(prctl(PR_SET_PDEATHSIG, SIGURG, 0, 0, 0)); }
static void show_end_of_parent(char *text) {
  int signal = -1;
  CHECK(prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0) == 0);
  tell(text, "%d", signal);
}

static long old_release(void) { return personality(UNAME26) == -1 ? -errno : 0; }
static void show_release(char *text) {
  struct utsname system;
  CHECK(uname(&system) == 0);
  tell(text, "%x, release %s", personality(0xffffffff), strncmp(system.release, "2.6.", 4) == 0 ? "2.6" : "its own");
}

static long memory_policy(void) {
  unsigned long nodes = 1;
  return RESULT(syscall(SYS_set_mempolicy, 2, &nodes, 65));
}
static void show_memory_policy(char *text) {
  int mode = -1;
  syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0);
  tell(text, "%d", mode);
}

static long badness(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  long result = write(fd, "321", 3) == 3 ? 0 : -errno;
  close(fd);
  return result;
}
static void show_badness(char *text) {
  char value[20] = {0};
  int fd = open("/proc/thread-self/oom_score_adj", O_RDONLY);
  CHECK(read(fd, value, sizeof value - 1) > 0 && close(fd) == 0);
  tell(text, "%d", atoi(value));
}

static const struct attribute ATTRIBUTES[] = {
    {"affinity", affinity, show_affinity},
    {"affinity, by another thread", affinity_by_another, show_affinity},
    {"SCHED_BATCH", batch, show_policy},
    {"SCHED_BATCH, by another thread", batch_by_another, show_policy},
    {"SCHED_BATCH, not inherited", not_inherited, show_policy},
    {"SCHED_IDLE", idle, show_policy},
    {"SCHED_RR", real_time, show_policy},
    {"nice", nice_value, show_nice},
    {"nice, by another thread", nice_by_another, show_nice},
    {"I/O priority", input_priority, show_input_priority},
    {"timer slack", slack, show_slack},
    {"name", name, show_name},
    {"name, by another thread", name_by_another, show_name},
    {"signal at the parent's end", end_of_parent, show_end_of_parent},
    {"personality", old_release, show_release},
    {"memory policy", memory_policy, show_memory_policy},
    {"score for the OOM killer", badness, show_badness},
};
static const int COUNT = sizeof ATTRIBUTES / sizeof *ATTRIBUTES;

static void prepare(void) {}
