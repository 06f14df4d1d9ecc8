/* What threads share until one of them has its own: descriptors, working directory, umask, semaphore undo lists; and a
   filter that one thread installs for all. */
#include "attribute.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/sem.h>

#define OWN_UNSHARED 700
#define OWN_RANGE 600
#define OWN_CLONED 500

static void show_descriptor(char *text, int fd) { tell(text, "%ld", RESULT(fcntl(fd, F_GETFD))); }

static long unshared_files(void) {
  if (unshare(CLONE_FILES) == -1) return -errno;
  return RESULT(dup2(0, OWN_UNSHARED));
}
static void show_unshared_files(char *text) { show_descriptor(text, OWN_UNSHARED); }

static long unshared_range(void) { return RESULT(syscall(SYS_close_range, OWN_RANGE, OWN_RANGE, 2)); }
static void show_range(char *text) { show_descriptor(text, OWN_RANGE); }

static long unshared_directory(void) {
  char path[300];
  if (unshare(CLONE_FS) == -1) return -errno;
  umask(027);
  return RESULT(chdir(in_folder(path, "directory")));
}
static void show_directory(char *text) {
  char path[300], wanted[300];
  CHECK(getcwd(path, sizeof path) != NULL);
  mode_t mask = umask(022);
  umask(mask);
  tell(text, "%s, umask %o", strcmp(path, in_folder(wanted, "directory")) == 0 ? "its own" : "the first one", mask);
}

/* A thread made without CLONE_FILES and CLONE_FS. It shares its creator's thread-local storage: bare calls only. */
static __thread struct {
  volatile int asked, answered, descriptor, changed;
} *apart;

static long bare(long number, long first, long second) {
  register long r10 __asm__("r10") = 0;
  long result = number;
  __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(0L), "r"(r10) : "rcx", "r11", "memory");
  return result;
}
static void nap(void) {
  struct timespec moment = {0, 1000000};
  bare(SYS_nanosleep, (long)&moment, 0);
}
static int lives_apart(void *argument) {
  __typeof__(apart) mine = argument;
  bare(SYS_dup2, 0, OWN_CLONED);
  bare(SYS_chdir, (long)"/", 0);
  for (;;) {
    if (mine->asked != mine->answered) {
      char path[300];
      mine->descriptor = (int)bare(SYS_fcntl, OWN_CLONED, F_GETFD);
      long length = bare(SYS_getcwd, (long)path, sizeof path);
      mine->changed = length == 2 && path[0] == '/';
      mine->answered = mine->asked;
    }
    nap();
  }
  return 0;
}
static long without_sharing(void) {
  char *stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  apart = calloc(1, sizeof *apart);
  return RESULT(clone(lives_apart, stack + 16 * PAGE, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, apart));
}
static void show_without_sharing(char *text) {
  if (apart) {
    apart->asked = apart->asked + 1;
    while (apart->answered != apart->asked) nap();
    tell(text, "descriptor %d, %s; ", apart->descriptor, apart->changed ? "its own directory" : "another directory");
  }
  show_descriptor(text, OWN_CLONED);
}

static int semaphores;
static void *adds(void *argument) {
  (void)argument;
  struct sembuf one = {1, 1, SEM_UNDO};
  CHECK(unshare(CLONE_SYSVSEM) == 0 && semop(semaphores, &one, 1) == 0);
  return NULL;
}
/* What a thread with an undo list of its own did is undone when that thread ends, not when the process does. */
static long undo_of_thread(void) {
  struct sembuf one = {0, 1, SEM_UNDO};
  if (unshare(CLONE_SYSVSEM) == -1) return -errno;
  return RESULT(semop(semaphores, &one, 1));
}
static void show_undo(char *text) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, adds, NULL) == 0 && pthread_join(thread, NULL) == 0);
  tell(text, "%d, undone to %d", semctl(semaphores, 0, GETVAL), semctl(semaphores, 1, GETVAL));
}

static long filter_for_all(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 78),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  return result == -1 ? -errno : result > 0;
}
static void show_filter_for_all(char *text) {
  char memory[400];
  tell(text, "%ld", RESULT(syscall(SYS_sysinfo, memory)));
}

static const struct attribute ATTRIBUTES[] = {
    {"descriptors, by unshare", unshared_files, show_unshared_files},
    {"descriptors, by close_range", unshared_range, show_range},
    {"working directory and umask, by unshare", unshared_directory, show_directory},
    {"descriptors and directory, by clone", without_sharing, show_without_sharing},
    {"semaphore undo list", undo_of_thread, show_undo},
    {"filter for all threads", filter_for_all, show_filter_for_all},
};
static const int COUNT = sizeof ATTRIBUTES / sizeof *ATTRIBUTES;

static void prepare(void) {
  char path[300];
  CHECK(mkdir(in_folder(path, "directory"), 0755) == 0);
  CHECK(dup2(0, OWN_RANGE) == OWN_RANGE);
  semaphores = semget(IPC_PRIVATE, 2, 0600);
  CHECK(semaphores >= 0);
}
