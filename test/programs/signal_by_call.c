/* Signals that a call raises for its own caller: with a handler, ignored, blocked and taken, and by default. */
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "held_child.h"

#define LIMIT (1 << 20)

static char bytes[PAGE];
static struct iovec vector = {bytes, 100};
static int dead_pipe, dead_socket, file, source;
static char path[] = "/tmp/atlas-test-raise-XXXXXX";

static long by_write(void) { return write(dead_pipe, bytes, 100); }
static long by_writev(void) { return writev(dead_pipe, &vector, 1); }
static long by_vmsplice(void) { return vmsplice(dead_pipe, &vector, 1, 0); }
static long by_sendfile(void) { return sendfile(dead_pipe, source, &(off_t){0}, 100); }
static long by_splice(void) { return splice(source, &(off_t){0}, dead_pipe, NULL, 100, 0); }
static long by_socket_write(void) { return write(dead_socket, bytes, 100); }
static long by_send(void) { return send(dead_socket, bytes, 100, 0); }
static long by_send_quietly(void) { return send(dead_socket, bytes, 100, MSG_NOSIGNAL); }
static long by_sendmsg(void) { return sendmsg(dead_socket, &(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1}, 0); }
static long by_sendmmsg(void) {
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
  return sendmmsg(dead_socket, &message, 1, 0);
}
static long by_large_write(void) { return lseek(file, LIMIT, SEEK_SET) == LIMIT ? write(file, bytes, 100) : -2; }
static long by_large_pwrite(void) { return pwrite(file, bytes, 100, LIMIT); }
static long by_large_pwritev(void) { return pwritev(file, &vector, 1, LIMIT); }
static long by_large_pwritev2(void) { return pwritev2(file, &vector, 1, LIMIT, 0); }
static long by_ftruncate(void) { return ftruncate(file, LIMIT + 1); }
static long by_truncate(void) { return truncate(path, LIMIT + 1); }
static long by_fallocate(void) { return fallocate(file, 0, LIMIT, 100); }
static long by_copy_file_range(void) { return copy_file_range(source, &(off_t){0}, file, &(off_t){LIMIT}, 100, 0); }
static long by_large_sendfile(void) {
  return lseek(file, LIMIT, SEEK_SET) == LIMIT ? sendfile(file, source, &(off_t){0}, 100) : -2;
}

static const struct {
  const char *name;
  int signal;
  long (*call)(void);
} RAISERS[] = {
    {"write", SIGPIPE, by_write},
    {"writev", SIGPIPE, by_writev},
    {"vmsplice", SIGPIPE, by_vmsplice},
    {"sendfile", SIGPIPE, by_sendfile},
    {"splice", SIGPIPE, by_splice},
    {"write to a socket", SIGPIPE, by_socket_write},
    {"send", SIGPIPE, by_send},
    {"sendmsg", SIGPIPE, by_sendmsg},
    {"sendmmsg", SIGPIPE, by_sendmmsg},
    {"send, MSG_NOSIGNAL", SIGPIPE, by_send_quietly},
    {"large write", SIGXFSZ, by_large_write},
    {"large pwrite", SIGXFSZ, by_large_pwrite},
    {"large pwritev", SIGXFSZ, by_large_pwritev},
    {"large pwritev2", SIGXFSZ, by_large_pwritev2},
    {"large sendfile", SIGXFSZ, by_large_sendfile},
    {"ftruncate", SIGXFSZ, by_ftruncate},
    {"truncate", SIGXFSZ, by_truncate},
    {"fallocate", SIGXFSZ, by_fallocate},
    {"copy_file_range", SIGXFSZ, by_copy_file_range},
};

static volatile sig_atomic_t handled;
static siginfo_t seen;
static pthread_t handled_by;

static void handler(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  seen = *info;
  handled_by = pthread_self();
  handled++;
}

static void prepare(void) {
  int channel[2], pair[2];
  CHECK(pipe(channel) == 0 && close(channel[0]) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && close(pair[0]) == 0);
  dead_pipe = channel[1], dead_socket = pair[1];
  file = mkstemp(path);
  source = open("/proc/self/exe", O_RDONLY);
  struct rlimit limit = {LIMIT, LIMIT};
  CHECK(file >= 0 && source >= 0 && setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void say_info(const siginfo_t *info) {
  say("  code %d, from itself %d, of its user %d", info->si_code, info->si_pid == getpid(), info->si_uid == getuid());
}

static void every_way(int index) {
  int signal = RAISERS[index].signal;
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO}, ignore = {.sa_handler = SIG_IGN};
  handled = 0, errno = 0;
  CHECK(sigaction(signal, &action, NULL) == 0);
  long result = RAISERS[index].call();
  int error = errno, times = handled;
  say("%s: %ld, %s; handled %d", RAISERS[index].name, result, strerror(error), times);
  if (times) {
    say("  by the caller %d", pthread_equal(handled_by, pthread_self()) != 0);
    say_info(&seen);
  }

  sigset_t set, pending;
  sigemptyset(&set), sigaddset(&set, signal);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  errno = 0;
  result = RAISERS[index].call();
  error = errno;
  CHECK(sigpending(&pending) == 0);
  say("  blocked: %ld, %s; pending %d", result, strerror(error), sigismember(&pending, signal));
  siginfo_t info;
  int taken = sigtimedwait(&set, &info, &(struct timespec){0, 0});
  say("  taken: %d", taken);
  if (taken == signal) say_info(&info);
  RAISERS[index].call();
  CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  say("  handled when it is let through: %d", handled - times);

  CHECK(sigaction(signal, &ignore, NULL) == 0);
  errno = 0;
  result = RAISERS[index].call();
  say("  ignored: %ld, %s", result, strerror(errno));
  action.sa_flags |= SA_RESETHAND;
  CHECK(sigaction(signal, &action, NULL) == 0);
  times = handled;
  RAISERS[index].call();
  CHECK(sigaction(signal, NULL, &action) == 0);
  say("  handled once: %d, then by default: %d", handled - times, action.sa_handler == SIG_DFL);
  CHECK(sigaction(signal, &ignore, NULL) == 0);
}

/* As a program of its own, so that it can be moved: the signal's default action ends it. */
static void by_default(int index) {
  char number[20];
  snprintf(number, sizeof number, "%d", index);
  say_ending(RAISERS[index].name, spawn_held(number));
}

static void *in_a_thread(void *unused) {
  every_way(0);
  every_way(10);
  return unused;
}

int main(int argc, char **argv) {
  int count = sizeof RAISERS / sizeof *RAISERS;
  struct rlimit no_core = {0, 0};
  CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
  prepare();
  if (argc > 1) {
    unlink(path);
    int index = atoi(argv[1]);
    if (strcmp(RAISERS[index].name, "truncate") == 0) snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    signal(RAISERS[index].signal, SIG_DFL);
    RAISERS[index].call();
    return 0;
  }
  for (int i = 0; i < count; i++) every_way(i);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, in_a_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
  for (int i = 0; i < count; i++) by_default(i);
  unlink(path);
  return 0;
}
