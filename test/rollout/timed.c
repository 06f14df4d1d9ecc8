/* Calls that sleep until their time-out, each in a thread of its own. Says what they returned, and whether in time.
   usage: timed all MILLISECONDS FOLDER VARIANT...    a process for each variant, whose output is FOLDER/VARIANT.out
          timed VARIANT MILLISECONDS FOLDER           waits for FOLDER/VARIANT.go; "forks" in its name: it forks meanwhile;
                                                      "loops" in its name: the calls are made over and over until FOLDER/VARIANT.end */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long milliseconds;
static struct timespec length;
static struct timeval length_in_microseconds;
static int channel[2], epoll, semaphores;
static sigset_t mask;

#define MUST(condition)                                                                            \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      printf("failed: %s (%s)\n", #condition, strerror(errno));                                    \
      fflush(stdout);                                                                              \
      _exit(99);                                                                                   \
    }                                                                                              \
  } while (0)

static struct timespec until(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  now.tv_sec += length.tv_sec;
  now.tv_nsec += length.tv_nsec;
  if (now.tv_nsec >= 1000000000) now.tv_sec++, now.tv_nsec -= 1000000000;
  return now;
}

/* What is left is written only when a handler ends the sleep. */
static long by_nanosleep(void) {
  struct timespec left = {77, 77};
  long result = nanosleep(&length, &left);
  if (left.tv_sec != 77) printf("nanosleep: time left is written\n");
  return result;
}
static long by_nanosleep_in_place(void) {
  struct timespec own = length;
  return nanosleep(&own, &own);
}
static long by_clock_nanosleep(void) {
  errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
  return errno;
}
static long by_clock_nanosleep_until(void) {
  struct timespec end = until(CLOCK_REALTIME);
  errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &end, NULL);
  return errno;
}
static struct pollfd poll_set(void) { return (struct pollfd){channel[0], POLLIN, 0}; }
static long by_poll(void) {
  struct pollfd set = poll_set();
  return poll(&set, 1, milliseconds);
}
static long by_ppoll(void) {
  struct pollfd set = poll_set();
  return ppoll(&set, 1, &length, NULL);
}
static long by_ppoll_masked(void) {
  struct pollfd set = poll_set();
  return ppoll(&set, 1, &length, &mask);
}
static long by_select(void) {
  struct timeval own = length_in_microseconds;
  return syscall(SYS_select, 0, NULL, NULL, NULL, &own);
}
/* Constant, so that the kernel cannot write there what is left. */
static const struct timeval in_read_only_memory[] = {{1, 500000}, {3, 0}};
static long by_select_constant(void) {
  return syscall(SYS_select, 0, NULL, NULL, NULL, &in_read_only_memory[milliseconds == 3000]);
}
/* The C library makes it a pselect6. */
static long by_pselect(void) {
  struct timeval own = length_in_microseconds;
  return select(0, NULL, NULL, NULL, &own);
}
static long by_pselect_masked(void) { return pselect(0, NULL, NULL, NULL, &length, &mask); }
static long by_epoll_wait(void) {
  struct epoll_event event;
  return epoll_wait(epoll, &event, 1, milliseconds);
}
static long by_epoll_pwait_masked(void) {
  struct epoll_event event;
  return epoll_pwait(epoll, &event, 1, milliseconds, &mask);
}
static long by_epoll_pwait2(void) {
  struct epoll_event event;
  return syscall(SYS_epoll_pwait2, epoll, &event, 1, &length, NULL, 8);
}
static long by_sem_timedwait(void) {
  sem_t own;
  struct timespec end = until(CLOCK_REALTIME);
  sem_init(&own, 0, 0);
  return sem_timedwait(&own, &end);
}
static long by_cond_timedwait(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  struct timespec end = until(CLOCK_REALTIME);
  pthread_mutex_lock(&mutex);
  errno = pthread_cond_timedwait(&condition, &mutex, &end);
  return errno;
}
static long by_futex(void) {
  uint32_t word = 0;
  return syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &length, NULL, 0);
}
static long by_futex_shared(void) {
  uint32_t word = 0;
  return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &length, NULL, 0);
}
static long by_futex_until(void) {
  uint32_t word = 0;
  struct timespec end = until(CLOCK_MONOTONIC);
  return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &end, NULL, FUTEX_BITSET_MATCH_ANY);
}
static pthread_mutex_t inheriting;
static long by_mutex_inheriting(void) {
  struct timespec end = until(CLOCK_REALTIME);
  errno = pthread_mutex_timedlock(&inheriting, &end);
  return errno;
}
static long by_sigtimedwait(void) {
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, SIGRTMIN);
  return sigtimedwait(&set, NULL, &length);
}
static int socket_with_timeout(int option, int peers[2]) {
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, peers) == 0);
  MUST(setsockopt(peers[0], SOL_SOCKET, option, &length_in_microseconds, sizeof length_in_microseconds) == 0);
  return peers[0];
}
static long closing(int peers[2], long result) {
  int error = errno;
  close(peers[0]), close(peers[1]);
  errno = error;
  return result;
}
static long by_recv(void) {
  int peers[2];
  char byte;
  return closing(peers, recv(socket_with_timeout(SO_RCVTIMEO, peers), &byte, 1, 0));
}
static long by_read_of_socket(void) {
  int peers[2];
  char byte;
  return closing(peers, read(socket_with_timeout(SO_RCVTIMEO, peers), &byte, 1));
}
static long by_send(void) {
  static char much[1 << 20];
  int peers[2], fd = socket_with_timeout(SO_SNDTIMEO, peers);
  while (send(fd, much, sizeof much, MSG_DONTWAIT) > 0) {
  }
  return closing(peers, send(fd, much, sizeof much, 0));
}
static int listener(struct sockaddr_un *address, const char *name) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s-%d", name, getpid());
  MUST(bind(fd, (struct sockaddr *)address, sizeof *address) == 0 && listen(fd, 0) == 0);
  MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &length_in_microseconds, sizeof length_in_microseconds) == 0);
  return fd;
}
static long by_accept(void) {
  struct sockaddr_un address;
  int fd = listener(&address, "accept"), peers[2] = {fd, -1};
  return closing(peers, accept(fd, NULL, NULL));
}
static long by_connect(void) {
  struct sockaddr_un address;
  int fd = listener(&address, "connect"), peers[2] = {fd, -1}, first = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(connect(first, (struct sockaddr *)&address, sizeof address) == 0);
  peers[1] = socket(AF_UNIX, SOCK_STREAM, 0);
  MUST(setsockopt(peers[1], SOL_SOCKET, SO_SNDTIMEO, &length_in_microseconds, sizeof length_in_microseconds) == 0);
  long result = closing(peers, connect(peers[1], (struct sockaddr *)&address, sizeof address));
  int error = errno;
  close(first);
  errno = error;
  return result;
}
static long by_semtimedop(void) { return semtimedop(semaphores, &(struct sembuf){0, -1, 0}, 1, &length); }
static mqd_t empty_queue, full_queue;
static long by_mq_timedreceive(void) {
  char message[8];
  struct timespec end = until(CLOCK_REALTIME);
  return mq_timedreceive(empty_queue, message, sizeof message, NULL, &end);
}
static long by_mq_timedsend(void) {
  struct timespec end = until(CLOCK_REALTIME);
  return mq_timedsend(full_queue, "x", 1, 0, &end);
}
static aio_context_t aio;
static long by_io_getevents(void) {
  struct io_event event;
  return syscall(SYS_io_getevents, aio, 1, 1, &event, &length);
}
static long by_timerfd(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0), peers[2] = {fd, -1};
  uint64_t count = 0;
  timerfd_settime(fd, 0, &(struct itimerspec){.it_value = length}, NULL);
  return closing(peers, read(fd, &count, 8) == 8 ? count : -1);
}

static const struct {
  const char *name;
  long (*call)(void);
} CALLS[] = {
    {"sigtimedwait", by_sigtimedwait},
    {"nanosleep", by_nanosleep},
    {"nanosleep in place", by_nanosleep_in_place},
    {"clock_nanosleep", by_clock_nanosleep},
    {"clock_nanosleep until", by_clock_nanosleep_until},
    {"poll", by_poll},
    {"ppoll", by_ppoll},
    {"ppoll masked", by_ppoll_masked},
    {"select", by_select},
    {"select constant", by_select_constant},
    {"pselect", by_pselect},
    {"pselect masked", by_pselect_masked},
    {"epoll_wait", by_epoll_wait},
    {"epoll_pwait masked", by_epoll_pwait_masked},
    {"epoll_pwait2", by_epoll_pwait2},
    {"sem_timedwait", by_sem_timedwait},
    {"cond_timedwait", by_cond_timedwait},
    {"futex", by_futex},
    {"futex shared", by_futex_shared},
    {"futex until", by_futex_until},
    {"mutex inheriting", by_mutex_inheriting},
    {"recv", by_recv},
    {"read of a socket", by_read_of_socket},
    {"send", by_send},
    {"accept", by_accept},
    {"connect", by_connect},
    {"semtimedop", by_semtimedop},
    {"mq_timedreceive", by_mq_timedreceive},
    {"mq_timedsend", by_mq_timedsend},
    {"io_getevents", by_io_getevents},
    {"timerfd", by_timerfd},
};
enum { COUNT = sizeof CALLS / sizeof *CALLS };

static struct {
  long result, took;
  int error;
} results[COUNT];
static pthread_barrier_t start;
static int loops;
static volatile int end;

static long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *sleeper(void *which) {
  long i = (long)which;
  pthread_barrier_wait(&start);
  do {
    long from = now();
    errno = 0;
    results[i].result = CALLS[i].call();
    results[i].error = errno;
    results[i].took = now() - from;
  } while (loops && !end);
  return NULL;
}

static void prepare(void) {
  length = (struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000};
  length_in_microseconds = (struct timeval){milliseconds / 1000, milliseconds % 1000 * 1000};
  sigemptyset(&mask), sigaddset(&mask, SIGUSR2);
  sigset_t realtime;
  sigemptyset(&realtime), sigaddset(&realtime, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &realtime, NULL);
  MUST(pipe(channel) == 0 && (epoll = epoll_create1(0)) >= 0);
  MUST((semaphores = semget(IPC_PRIVATE, 1, 0600)) >= 0);
  MUST(syscall(SYS_io_setup, 1, &aio) == 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&inheriting, &attributes);
  pthread_mutex_lock(&inheriting);
  char name[60];
  struct mq_attr one = {.mq_maxmsg = 1, .mq_msgsize = 8};
  snprintf(name, sizeof name, "/atlas-test-empty-%d", getpid());
  MUST((empty_queue = mq_open(name, O_CREAT | O_RDWR, 0600, &one)) >= 0 && mq_unlink(name) == 0);
  snprintf(name, sizeof name, "/atlas-test-full-%d", getpid());
  MUST((full_queue = mq_open(name, O_CREAT | O_RDWR, 0600, &one)) >= 0 && mq_unlink(name) == 0);
  MUST(mq_send(full_queue, "x", 1, 0) == 0);
  pthread_barrier_init(&start, NULL, COUNT + 1);
}

static int is_there(const char *folder, const char *variant, const char *what) {
  char path[1000];
  snprintf(path, sizeof path, "%s/%s.%s", folder, variant, what);
  return access(path, F_OK) == 0;
}

static void note(const char *folder, const char *variant, const char *what, int value) {
  char path[1000], final[1000];
  snprintf(path, sizeof path, "%s/%s.%s.new", folder, variant, what);
  snprintf(final, sizeof final, "%s/%s.%s", folder, variant, what);
  FILE *file = fopen(path, "w");
  MUST(file != NULL && fprintf(file, "%d\n", value) > 0 && fclose(file) == 0 && rename(path, final) == 0);
}

static void one_variant(const char *variant, const char *folder) {
  char path[1000];
  pthread_t threads[COUNT];
  snprintf(path, sizeof path, "%s/%s.out", folder, variant);
  MUST(freopen(path, "w", stdout) != NULL);
  loops = strstr(variant, "loops") != NULL;
  prepare();
  note(folder, variant, "pid", getpid());
  while (!is_there(folder, variant, "go")) usleep(2000);
  for (long i = 0; i < COUNT; i++) MUST(pthread_create(&threads[i], NULL, sleeper, (void *)i) == 0);
  pthread_barrier_wait(&start);
  note(folder, variant, "asleep", getpid());
  if (strstr(variant, "forks")) {
    for (long from = now(); now() - from < milliseconds * 8 / 10; usleep(150000)) {
      pid_t pid = fork();
      if (pid == 0) _exit(0);
      MUST(waitpid(pid, NULL, 0) == pid);
    }
  }
  while (loops && !is_there(folder, variant, "end")) usleep(10000);
  end = 1;
  for (int i = 0; i < COUNT; i++) MUST(pthread_join(threads[i], NULL) == 0);
  semctl(semaphores, 0, IPC_RMID);
  for (int i = 0; i < COUNT; i++) {
    long took = results[i].took;
    printf("%s: %ld, %s, ", CALLS[i].name, results[i].result, results[i].error ? strerror(results[i].error) : "-");
    if (took >= milliseconds && took <= milliseconds * 3 / 2) printf("in time\n");
    else printf("after %ld ms\n", took);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  milliseconds = atol(argv[2]);
  if (strcmp(argv[1], "all") != 0) {
    one_variant(argv[1], argv[3]);
    return 0;
  }
  for (int i = 4; i < argc; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      execl("/proc/self/exe", "timed", argv[i], argv[2], argv[3], NULL);
      _exit(127);
    }
  }
  int status, failed = 0;
  while (wait(&status) > 0) failed |= status;
  return failed != 0;
}
