/* Closing a message queue ends the notification that its process asked for, however it is closed. */
#include <mqueue.h>
#include "check.h"

static char name[40];

static int notify(mqd_t queue) {
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  return mq_notify(queue, &event) == 0 ? 0 : errno;
}

static void by_close(mqd_t queue) { CHECK(mq_close(queue) == 0); }
static void by_dup2(mqd_t queue) { CHECK(dup2(0, queue) == queue); }
static void by_dup3(mqd_t queue) { CHECK(dup3(0, queue, O_CLOEXEC) == queue); }
static void by_close_range(mqd_t queue) { CHECK(close_range(queue, queue, 0) == 0); }
static void by_closing_a_copy(mqd_t queue) { CHECK(close(dup(queue)) == 0); }
static void by_asking(mqd_t queue) { CHECK(mq_notify(queue, NULL) == 0); }

static void ends(const char *how, void (*end)(mqd_t)) {
  struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
  mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes), other = mq_open(name, O_RDWR);
  CHECK(queue >= 0 && other >= 0);
  int first = notify(queue), second = notify(other);
  end(queue);
  say("%s: %d %d, afterwards %d", how, first, second, notify(other));
  mq_close(other);
  mq_close(queue);
  CHECK(mq_unlink(name) == 0);
}

int main(void) {
  snprintf(name, sizeof name, "/atlas-test-%d", getpid());
  CHECK(open("/dev/null", O_RDONLY) >= 0);
  ends("close", by_close);
  ends("dup2", by_dup2);
  ends("dup3", by_dup3);
  ends("close_range", by_close_range);
  ends("closing a copy", by_closing_a_copy);
  ends("asking", by_asking);
  return 0;
}
