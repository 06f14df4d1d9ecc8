/* A child on a pseudo-terminal of its own: job control signals, window size, hang-up. */
#include <pty.h>
#include <sys/ioctl.h>
#include "check.h"

static void handler(int number) { say("signal %d", number); }

int main(void) {
  int master;
  struct winsize size = {24, 80, 0, 0};
  pid_t pid = forkpty(&master, NULL, NULL, &size);
  CHECK(pid >= 0);
  if (pid == 0) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGINT, &action, NULL), sigaction(SIGWINCH, &action, NULL);
    struct winsize now;
    CHECK(ioctl(0, TIOCGWINSZ, &now) == 0);
    say("window %dx%d, session leader %d", now.ws_row, now.ws_col, getsid(0) == getpid());
    pause();
    pause();
    char line[100];
    CHECK(fgets(line, sizeof line, stdin) != NULL);
    printf("read %s", line);
    fflush(stdout);
    pause();
    _exit(0);
  }
  char text[2000] = {0};
  size_t length = 0;
#define UNTIL(what)                                                                   \
  while (!strstr(text, what)) {                                                       \
    ssize_t n = read(master, text + length, sizeof text - 1 - length);                \
    CHECK(n > 0);                                                                     \
    length += n;                                                                      \
  }
  UNTIL("leader 1");
  pause_ms(30);
  CHECK(write(master, "\003", 1) == 1);
  UNTIL("signal 2");
  pause_ms(30);
  size.ws_row = 50;
  CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
  UNTIL("signal 28");
  CHECK(write(master, "hello\n", 6) == 6);
  UNTIL("read hello");
  for (char *c = text; *c; c++)
    if (*c != '\r') putchar(*c);
  fflush(stdout);
  close(master);
  say_ending("hung up", pid);
  return 0;
}
