/* Linux AIO by raw system calls: submit writes and reads, wait for them in another thread, destroy the context. */
#include <linux/aio_abi.h>
#include "check.h"

static aio_context_t context;
static long completed, bytes;

static void *waiter(void *unused) {
  struct io_event events[8];
  while (completed < 16) {
    long n = syscall(SYS_io_getevents, context, 1, 8, events, NULL);
    CHECK(n > 0 || errno == EINTR);
    for (long i = 0; i < n; i++) completed++, bytes += events[i].res;
  }
  return unused;
}

int main(void) {
  CHECK(syscall(SYS_io_setup, 32, &context) == 0);
  char path[] = "/tmp/atlas-test-aio-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, waiter, NULL) == 0);
  pause_ms(20);
  char *blocks = malloc(16 * PAGE);
  for (int i = 0; i < 16; i++) {
    memset(blocks + i * PAGE, 'a' + i, PAGE);
    struct iocb request = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)blocks + i * PAGE,
                           .aio_nbytes = PAGE, .aio_offset = (long)(i * PAGE)};
    struct iocb *list[] = {&request};
    CHECK(syscall(SYS_io_submit, context, 1, list) == 1);
  }
  CHECK(pthread_join(thread, NULL) == 0);
  say("completed %ld, bytes %ld", completed, bytes);
  char block[PAGE];
  struct iocb request = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uintptr_t)block, .aio_nbytes = PAGE, .aio_offset = 3 * PAGE};
  struct iocb *list[] = {&request};
  struct io_event event;
  CHECK(syscall(SYS_io_submit, context, 1, list) == 1);
  CHECK(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
  say("read %lld: %c%c", (long long)event.res, block[0], block[PAGE - 1]);
  CHECK(syscall(SYS_io_destroy, context) == 0);
  say("destroyed: %d", syscall(SYS_io_destroy, context) == -1 ? errno : 0);
  return 0;
}
