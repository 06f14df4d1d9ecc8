/* Seccomp filters, landlock, no_new_privs, securebits, ports, the time-stamp counter, keyrings. */
#include "attribute.h"
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/io.h>
#include <sys/utsname.h>

static long install(unsigned number, unsigned verdict, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, verdict),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result == -1 ? -errno : result;
}

static void show_call(char *text, long number) {
  char memory[400];
  errno = 0;
  long result = syscall(number, memory, memory);
  tell(text, "%s errno %d", result == -1 ? "fails" : "works", errno);
}

/* One that a home makes for its thread, one that a stub makes itself, one about memory. */
static long forbid_identity(void) { return install(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0); }
static void show_identity(char *text) { show_call(text, SYS_getppid); }
static long forbid_direct(void) { return install(SYS_sysinfo, SECCOMP_RET_ERRNO | 78, 0); }
static void show_direct(char *text) { show_call(text, SYS_sysinfo); }
static long forbid_memory(void) { return install(SYS_mlock, SECCOMP_RET_ERRNO | 79, 0); }
static void show_memory(char *text) {
  static char page[2 * PAGE];
  tell(text, "%ld", RESULT(syscall(SYS_mlock, page, 1)));
}
static long forbid_by_prctl(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgrp, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 80),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  return RESULT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}
static void show_mode(char *text) {
  tell(text, "mode %d, ", prctl(PR_GET_SECCOMP));
  show_call(text, SYS_getpgrp);
}

static __thread sigjmp_buf trapped;
static __thread volatile int armed;
static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)context;
  if (!armed) _exit(90 + signal);
  armed = 0;
  siglongjmp(trapped, signal == SIGSYS ? 1000 + info->si_errno : signal);
}

#define CAUGHT(what)                               \
  ({                                               \
    int caught = sigsetjmp(trapped, 1);            \
    if (caught == 0) {                             \
      armed = 1;                                   \
      what;                                        \
      armed = 0;                                   \
    }                                              \
    caught;                                        \
  })

static long trap(void) { return install(SYS_sysfs, SECCOMP_RET_TRAP | 5, 0); }
static void show_trap(char *text) { tell(text, "%d", CAUGHT(syscall(SYS_sysfs, 3))); }

static long restrict_files(void) {
  struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
  int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
  if (fd == -1) return -errno;
  long result = RESULT(syscall(SYS_landlock_restrict_self, fd, 0));
  close(fd);
  return result;
}
static void show_files(char *text) {
  int fd = open("/etc/passwd", O_RDONLY);
  tell(text, "%d", fd == -1 ? -errno : 0);
  if (fd >= 0) close(fd);
}

static long no_new_privs(void) { return RESULT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }
static void show_no_new_privs(char *text) { tell(text, "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); }

static long securebits(void) { return RESULT(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)); }
static void show_securebits(char *text) { tell(text, "%d", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)); }

static long ports(void) { return RESULT(ioperm(0x80, 1, 1)); }
static void show_ports(char *text) { tell(text, "%d", CAUGHT(inb(0x80))); }

static long all_ports(void) { return RESULT(iopl(3)); }
static void show_all_ports(char *text) { tell(text, "%d", CAUGHT(inb(0x81))); }

static long no_time_stamps(void) { return RESULT(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)); }
static void show_time_stamps(char *text) { tell(text, "%d", CAUGHT(__builtin_ia32_rdtsc())); }

static long add_key(const char *name, int keyring) {
  return RESULT(syscall(SYS_add_key, "user", name, "x", 1, keyring));
}
static void show_key(char *text, const char *name, int keyring) {
  long key = syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, "user", name, 0);
  tell(text, "%ld", key == -1 ? -(long)errno : 0);
}
static long thread_keyring(void) { return add_key("of-thread", KEY_SPEC_THREAD_KEYRING); }
static void show_thread_keyring(char *text) { show_key(text, "of-thread", KEY_SPEC_THREAD_KEYRING); }
static long session_keyring(void) {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) == -1) return -errno;
  return add_key("of-session", KEY_SPEC_SESSION_KEYRING);
}
static void show_session_keyring(char *text) { show_key(text, "of-session", KEY_SPEC_SESSION_KEYRING); }

static const struct attribute ATTRIBUTES[] = {
    {"filter: getppid", forbid_identity, show_identity},
    {"filter: sysinfo", forbid_direct, show_direct},
    {"filter: mlock", forbid_memory, show_memory},
    {"filter: by prctl", forbid_by_prctl, show_mode},
    {"filter: trap", trap, show_trap},
    {"landlock", restrict_files, show_files},
    {"no_new_privs", no_new_privs, show_no_new_privs},
    {"securebits", securebits, show_securebits},
    {"ioperm", ports, show_ports},
    {"iopl", all_ports, show_all_ports},
    {"time-stamp counter", no_time_stamps, show_time_stamps},
    {"thread keyring", thread_keyring, show_thread_keyring},
    {"session keyring", session_keyring, show_session_keyring},
};
static const int COUNT = sizeof ATTRIBUTES / sizeof *ATTRIBUTES;

static void prepare(void) {
  /* What is added by mistake ends with the program. */
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  for (int signals[] = {SIGSYS, SIGSEGV, SIGILL}, i = 0; i < 3; i++) CHECK(sigaction(signals[i], &action, NULL) == 0);
}
