/* Pipes, socket pairs, TCP; descriptors and credentials passed over a socket. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "check.h"

union control {
  struct cmsghdr header;
  char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void send_with(int socket, int type, const void *data, size_t length) {
  union control control = {0};
  char byte = 'x';
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(length)};
  control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(length)};
  memcpy(CMSG_DATA(&control.header), data, length);
  CHECK(sendmsg(socket, &message, 0) == 1);
}
static void receive_with(int socket, int type, void *data, size_t length) {
  union control control = {0};
  char byte;
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  CHECK(recvmsg(socket, &message, 0) == 1);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  CHECK(header && header->cmsg_type == type && header->cmsg_len == CMSG_LEN(length));
  memcpy(data, CMSG_DATA(header), length);
}

int main(void) {
  int pair[2], channel[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(channel) == 0);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    send_with(pair[1], SCM_RIGHTS, &channel[1], sizeof(int));
    CHECK(read(pair[1], &(char){0}, 1) == 1);
    struct ucred me = {getpid(), getuid(), getgid()};
    send_with(pair[1], SCM_CREDENTIALS, &me, sizeof me);
    _exit(0);
  }
  int received;
  receive_with(pair[0], SCM_RIGHTS, &received, sizeof received);
  CHECK(write(received, "through a passed descriptor", 28) == 28);
  char text[100] = {0};
  CHECK(read(channel[0], text, sizeof text) == 28);
  say("%s", text);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) == 0 && write(pair[0], "g", 1) == 1);
  struct ucred child;
  receive_with(pair[0], SCM_CREDENTIALS, &child, sizeof child);
  say("credentials name the child: %d", child.pid == pid && child.uid == getuid());
  struct ucred peer;
  socklen_t size = sizeof peer;
  CHECK(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
  say("the pair's creator: %d", peer.pid == parent);
  say_ending("child", pid);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  size = sizeof address;
  CHECK(bind(listener, (void *)&address, size) == 0 && listen(listener, 5) == 0);
  CHECK(getsockname(listener, (void *)&address, &size) == 0);
  pid = fork();
  if (pid == 0) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (void *)&address, sizeof address) == 0);
    char *block = malloc(1 << 20);
    memset(block, 'q', 1 << 20);
    for (size_t done = 0; done < 1 << 20;) {
      ssize_t n = write(client, block + done, (1 << 20) - done);
      CHECK(n > 0);
      done += n;
    }
    _exit(0);
  }
  int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(connection >= 0);
  size_t total = 0;
  char *block = malloc(65536);
  for (ssize_t n; (n = read(connection, block, 65536)) > 0; total += n) CHECK(block[n - 1] == 'q');
  say("received %zu", total);
  say_ending("client", pid);
  return 0;
}
