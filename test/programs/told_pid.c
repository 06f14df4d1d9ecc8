/* Which pid others are told: the sender of a message (SCM_CREDENTIALS, by each way to send), the peer of a socket, the
   owner of a lock, the last one at a semaphore, a queue or a segment. */
#include <poll.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include "check.h"

static const char *whose(pid_t pid) { return pid == getpid() ? "ours" : pid == 0 ? "nobody's" : "another's"; }

static void say_sender(const char *how, int fd) {
  char byte[8];
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct iovec part = {byte, sizeof byte};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct pollfd ready = {fd, POLLIN, 0};
  if (poll(&ready, 1, 0) != 1) {
    say("%s: nothing came", how);
    return;
  }
  CHECK(recvmsg(fd, &message, 0) > 0);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  struct ucred sender = {.pid = -1};
  if (header != NULL) memcpy(&sender, CMSG_DATA(header), sizeof sender);
  say("%s: the sender is %s", how, whose(sender.pid));
}

static void messages(int type) {
  int pair[2], yes = 1, pipes[2];
  CHECK(socketpair(AF_UNIX, type, 0, pair) == 0 && pipe(pipes) == 0);
  CHECK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0);
  struct iovec part = {"x", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  struct mmsghdr many = {.msg_hdr = message};
  CHECK(write(pair[0], "x", 1) == 1);
  say_sender("write", pair[1]);
  CHECK(writev(pair[0], &part, 1) == 1);
  say_sender("writev", pair[1]);
  CHECK(send(pair[0], "x", 1, 0) == 1);
  say_sender("send", pair[1]);
  CHECK(sendmsg(pair[0], &message, 0) == 1);
  say_sender("sendmsg", pair[1]);
  CHECK(sendmmsg(pair[0], &many, 1, 0) == 1);
  say_sender("sendmmsg", pair[1]);
  if (type == SOCK_STREAM) {
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0 && sendfile(pair[0], file, NULL, 1) == 1 && close(file) == 0);
    say_sender("sendfile", pair[1]);
    CHECK(write(pipes[1], "x", 1) == 1 && splice(pipes[0], NULL, pair[0], NULL, 1, 0) == 1);
    say_sender("splice", pair[1]);
  }
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(struct ucred))];
  } control = {.header = {CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS}};
  struct ucred own = {getpid(), getuid(), getgid()};
  memcpy(CMSG_DATA(&control.header), &own, sizeof own);
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  long sent = sendmsg(pair[0], &message, 0);
  say("with our own pid: %ld", sent);
  if (sent == 1) say_sender("with our own pid", pair[1]);
  for (int i = 0; i < 2; i++) CHECK(close(pair[i]) == 0 && close(pipes[i]) == 0);
}

static void say_peer(const char *how, int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0);
  say("%s: the peer is %s", how, whose(peer.pid));
}

static void peers(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1;
  length += snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "atlas-told-%d", getpid());
  int pair[2], listening = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listening, (struct sockaddr *)&name, length) == 0 && listen(listening, 1) == 0);
  CHECK(connect(client, (struct sockaddr *)&name, length) == 0);
  int accepted = accept(listening, NULL, NULL);
  CHECK(accepted >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  say_peer("connect", accepted);
  say_peer("listen", client);
  say_peer("socketpair", pair[0]);
}

static void locks_and_queues(void) {
  char path[] = "/tmp/atlas-told-XXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0 && unlink(path) == 0);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  CHECK(fcntl(file, F_SETLK, &lock) == 0);
  int out[2];
  CHECK(pipe(out) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(fcntl(file, F_GETLK, &lock) == 0);
    _exit(write(out[1], &lock, sizeof lock) != sizeof lock);
  }
  CHECK(read(out[0], &lock, sizeof lock) == sizeof lock && waitpid(pid, NULL, 0) == pid);
  say("the lock is %s", whose(lock.l_pid));

  struct sembuf one = {0, 1, 0};
  int semaphore = semget(IPC_PRIVATE, 1, 0600);
  CHECK(semop(semaphore, &one, 1) == 0);
  say("the last at the semaphore: %s", whose(semctl(semaphore, 0, GETPID)));
  CHECK(semctl(semaphore, 0, IPC_RMID) == 0);

  struct msqid_ds queue_state;
  int queue = msgget(IPC_PRIVATE, 0600);
  CHECK(msgsnd(queue, &(struct { long type; char text[8]; }){1, "x"}, 1, 0) == 0);
  CHECK(msgctl(queue, IPC_STAT, &queue_state) == 0);
  say("the last to send: %s", whose(queue_state.msg_lspid));
  CHECK(msgctl(queue, IPC_RMID, NULL) == 0);

  struct shmid_ds segment_state;
  int segment = shmget(IPC_PRIVATE, PAGE, 0600);
  void *mapped = shmat(segment, NULL, 0);
  CHECK(mapped != (void *)-1 && shmctl(segment, IPC_STAT, &segment_state) == 0);
  say("the creator of the segment: %s, the last at it: %s", whose(segment_state.shm_cpid), whose(segment_state.shm_lpid));
  CHECK(shmdt(mapped) == 0 && shmctl(segment, IPC_RMID, NULL) == 0);
}

int main(void) {
  messages(SOCK_STREAM);
  messages(SOCK_DGRAM);
  messages(SOCK_SEQPACKET);
  peers();
  locks_and_queues();
  return 0;
}
