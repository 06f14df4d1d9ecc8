/* A shell and its job on a terminal: what a job in the background may do, and is stopped for. */
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "check.h"

static const char *const STEPS[] = {"reads", "opens and reads", "sets modes", "writes with tostop", "reads, SIGTTIN ignored"};
#define STEP_COUNT 5

/* The job is held, and moved to another generation, like the program itself: `hold` forgets the folder. */
static const char *hold_folder;
__attribute__((constructor(101))) static void keep_folder(void) {
  const char *folder = getenv("ATLAS_TEST_HOLD");
  if (folder) hold_folder = strdup(folder);
}

/* The job: every step is tried in the background first. */
static void job(void) {
  char line[100];
  struct termios modes;
  for (int step = 0; step < STEP_COUNT; step++) {
    ssize_t n = 0;
    int own = -1;
    if (step == 4) signal(SIGTTIN, SIG_IGN);
    if (step == 1) CHECK((own = open("/dev/tty", O_RDWR)) >= 0);
    if (step == 0 || step == 4) n = read(0, line, sizeof line - 1);
    if (step == 1) n = read(own, line, sizeof line - 1), close(own);
    if (step == 2) {
      CHECK(tcgetattr(0, &modes) == 0);
      n = tcsetattr(0, TCSADRAIN, &modes);
    }
    if (step == 3) n = write(1, "written\n", 8);
    int error = n < 0 ? errno : 0;
    line[n > 0 && step < 2 ? n - 1 : 0] = 0;
    signal(SIGTTIN, SIG_DFL);
    dprintf(9, "job %s: %zd, error %d, '%s'\n", STEPS[step], n, error, line);
    raise(SIGSTOP);
  }
  _exit(0);
}

/* A job that ignores SIGTTIN from its first instruction on: in the foreground it reads, in the background it fails. */
static void ignoring_job(void) {
  char line[100];
  for (int turn = 0; turn < 2; turn++) {
    ssize_t n = read(0, line, sizeof line - 1);
    int error = n < 0 ? errno : 0;
    dprintf(9, "ignoring job, turn %d: %zd, error %d\n", turn, n, error);
    raise(SIGSTOP);
  }
  _exit(0);
}

static pid_t start(const char *name, int report, void (*on_sigttin)(int)) {
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    signal(SIGTTIN, on_sigttin);
    tcsetpgrp(0, on_sigttin == SIG_IGN ? getpid() : getppid());
    signal(SIGTTOU, SIG_DFL);
    dup2(report, 9);
    if (hold_folder) setenv("ATLAS_TEST_HOLD", hold_folder, 1);
    execl("/proc/self/exe", name, name, NULL);
  }
  setpgid(pid, pid);
  return pid;
}

/* The session leader, with job control as a shell has it. */
static void shell(int report) {
  struct termios modes;
  tcgetattr(0, &modes);
  modes.c_lflag |= TOSTOP;
  modes.c_lflag &= ~ECHO;
  tcsetattr(0, TCSANOW, &modes);
  signal(SIGTTOU, SIG_IGN);
  pid_t pid = start("job", report, SIG_DFL);
  for (int step = 0; step < STEP_COUNT; step++) {
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    dprintf(report, "%s: stopped by %d\n", STEPS[step], WSTOPSIG(status));
    if (WSTOPSIG(status) != SIGSTOP) {
      tcsetpgrp(0, pid);
      kill(-pid, SIGCONT);
      CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
      dprintf(report, "%s: then stopped by %d\n", STEPS[step], WSTOPSIG(status));
    }
    tcsetpgrp(0, getpid());
    kill(-pid, SIGCONT);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  dprintf(report, "job: %x\n", status);
  pid = start("ignoring", report, SIG_IGN);
  for (int turn = 0; turn < 2; turn++) {
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    dprintf(report, "ignoring job: stopped by %d\n", WSTOPSIG(status));
    tcsetpgrp(0, getpid());
    kill(-pid, SIGCONT);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  dprintf(report, "ignoring job: %x\n", status);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc > 1) strcmp(argv[1], "job") == 0 ? job() : ignoring_job();
  int ends[2], master;
  CHECK(pipe(ends) == 0);
  pid_t pid = forkpty(&master, NULL, NULL, NULL);
  CHECK(pid >= 0);
  if (pid == 0) shell(ends[1]);
  CHECK(write(master, "first\nsecond\nthird\n", 19) == 19);
  close(ends[1]);
  char text[200];
  for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) fwrite(text, 1, n, stdout);
  fflush(stdout);
  say_ending("shell", pid);
  return 0;
}
