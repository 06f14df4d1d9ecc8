/* Once a child's end is told, all that it held is free: its port, its locks, its ends of pipes; by exit and by a signal. */
#include <arpa/inet.h>
#include <sys/file.h>
#include <sys/socket.h>
#define PARENT_STAYS
#include "held_child.h"

#define ROUNDS 3
#define REPORT 30
#define MUCH (32UL << 20)

static struct sockaddr_in address = {.sin_family = AF_INET};
static char path[] = "/tmp/atlas-test-end-XXXXXX";

static int listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  return bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0 ? fd : -1;
}

/* Holds all it can, says so, and ends as it is told: "HOW PORT PATH" */
static void hold_everything(const char *order) {
  char how[20], file[100];
  int port;
  CHECK(sscanf(order, "%19s %d %99s", how, &port, file) == 3);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK), address.sin_port = htons(port);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  int fd = open(file, O_RDWR);
  CHECK(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 && flock(fd, LOCK_EX) == 0 && listener() >= 0);
  /* The memory of a task goes before its descriptors, and much of it takes a while. */
  void *memory = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED && memset(memory, 1, MUCH) == memory);
  CHECK(write(REPORT, "x", 1) == 1);
  if (strcmp(how, "exit") == 0) _exit(0);
  if (strcmp(how, "abort") == 0) signal(SIGABRT, SIG_DFL), abort();
  for (;;) pause();
}

static void round_of(const char *how, int file, int *failures) {
  char order[200], c;
  snprintf(order, sizeof order, "%s %d %s", how, ntohs(address.sin_port), path);
  int report[2];
  CHECK(pipe2(report, O_CLOEXEC) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(dup2(report[1], REPORT) == REPORT);
    become_held(order);
  }
  close(report[1]);
  CHECK(read(report[0], &c, 1) == 1);
  if (strcmp(how, "kill") == 0) kill(pid, SIGKILL);
  if (strcmp(how, "terminate") == 0) kill(pid, SIGTERM);
  CHECK(waitpid(pid, NULL, 0) == pid);
  int fd = listener();
  failures[0] += fd < 0;
  if (fd >= 0) close(fd);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  failures[1] += fcntl(file, F_SETLK, &lock) != 0;
  failures[2] += flock(file, LOCK_EX | LOCK_NB) != 0;
  fcntl(report[0], F_SETFL, O_NONBLOCK);
  failures[3] += read(report[0], &c, 1) != 0;
  failures[4] += kill(pid, 0) == 0;
  close(report[0]);
  lock.l_type = F_UNLCK;
  fcntl(file, F_SETLK, &lock), flock(file, LOCK_UN);
  /* A round that failed must not fail the next. */
  pause_ms(failures[0] + failures[1] + failures[2] + failures[3] > 0 ? 50 : 0);
}

int main(int argc, char **argv) {
  if (argc > 1) hold_everything(argv[1]);
  int file = mkstemp(path), fd = -1;
  CHECK(file >= 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK((fd = listener()) >= 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}) == 0 && close(fd) == 0);
  const char *ways[] = {"exit", "abort", "terminate", "kill"};
  for (int way = 0; way < 4; way++) {
    int failures[5] = {0};
    for (int i = 0; i < ROUNDS; i++) round_of(ways[way], file, failures);
    say("%s: port taken %d, record lock %d, flock %d, no end of file %d, still there %d", ways[way], failures[0],
        failures[1], failures[2], failures[3], failures[4]);
  }
  unlink(path);
  return 0;
}
