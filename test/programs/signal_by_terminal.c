/* A terminal's foreground program reads and writes it; one in the background is sent SIGTTIN and SIGTTOU by its own call. */
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "held_child.h"

static volatile sig_atomic_t handled;
static void handler(int number) { handled = number; }

static long try_call(const char *call) {
  char text[10] = "";
  struct termios settings;
  if (strcmp(call, "read") == 0) return read(0, text, sizeof text);
  if (strcmp(call, "write") == 0) return write(0, "\n", 1);
  return tcgetattr(0, &settings) == 0 ? tcsetattr(0, TCSANOW, &settings) : -2;
}

/* The standard input is the terminal; the results go to the standard output. "CALL WAY" */
static void terminal_user(const char *order) {
  char call[10], way[20];
  CHECK(sscanf(order, "%9s %19s", call, way) == 2);
  int number = strcmp(call, "read") == 0 ? SIGTTIN : SIGTTOU;
  sigset_t set;
  sigemptyset(&set), sigaddset(&set, number);
  if (strcmp(way, "handled") == 0) CHECK(sigaction(number, &(struct sigaction){.sa_handler = handler}, NULL) == 0);
  if (strcmp(way, "ignored") == 0) CHECK(signal(number, SIG_IGN) != SIG_ERR);
  if (strcmp(way, "blocked") == 0) CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  errno = 0;
  long result = try_call(call);
  say("%s, %s: %ld, %s, signal %d", call, way, result, strerror(errno), handled);
  _exit(0);
}

/* The session leader: lets programs use its terminal from the background, then gives the stopped ones the foreground. */
static void session(void) {
  struct termios settings;
  CHECK(tcgetattr(0, &settings) == 0);
  settings.c_lflag |= TOSTOP;
  settings.c_lflag &= ~ECHO;
  CHECK(tcsetattr(0, TCSANOW, &settings) == 0);
  signal(SIGTTOU, SIG_IGN);
  const char *calls[] = {"read", "write", "set"};
  const char *ways[] = {"front", "stopped", "handled", "ignored", "blocked"};
  for (int i = 0; i < 3; i++) {
    for (int way = 0; way < 5; way++) {
      char order[40];
      snprintf(order, sizeof order, "%s %s", calls[i], ways[way]);
      int ready[2];
      CHECK(pipe(ready) == 0);
      pid_t pid = fork();
      if (pid == 0) {
        char c;
        signal(SIGTTOU, SIG_DFL);
        close(ready[1]);
        CHECK(read(ready[0], &c, 1) == 1);
        become_held(order);
      }
      CHECK(setpgid(pid, pid) == 0);
      CHECK(tcsetpgrp(0, way == 0 ? pid : getpid()) == 0);
      CHECK(write(ready[1], "x", 1) == 1 && close(ready[0]) == 0 && close(ready[1]) == 0);
      int status;
      CHECK(waitpid(pid, &status, WUNTRACED) == pid);
      if (WIFSTOPPED(status)) {
        say("%s: stopped by %d", order, WSTOPSIG(status));
        CHECK(tcsetpgrp(0, pid) == 0 && kill(pid, SIGCONT) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
      }
      say("%s: ended %x", order, status);
      CHECK(tcsetpgrp(0, getpid()) == 0);
    }
  }
  _exit(0);
}

static void *feed(void *master) {
  for (;;) {
    if (write(*(int *)master, "line\n", 5) != 5) return NULL;
    pause_ms(20);
    char text[1000];
    while (read(*(int *)master, text, sizeof text) > 0) {
    }
  }
}

int main(int argc, char **argv) {
  if (argc > 1) terminal_user(argv[1]);
  int master, terminal;
  CHECK(openpty(&master, &terminal, NULL, NULL, NULL) == 0);
  fcntl(master, F_SETFL, O_NONBLOCK);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(setsid() == getpid() && dup2(terminal, 0) == 0 && ioctl(0, TIOCSCTTY, 0) == 0);
    close(master), close(terminal);
    session();
  }
  close(terminal);
  pthread_t feeder;
  CHECK(pthread_create(&feeder, NULL, feed, &master) == 0);
  say_ending("session", pid);
  return 0;
}
