/* io_uring by raw system calls: set up, map the rings, run a nop and a read. */
#include <linux/io_uring.h>
#include "check.h"

int main(void) {
  struct io_uring_params params = {0};
  int ring = syscall(SYS_io_uring_setup, 8, &params);
  if (ring < 0) {
    say("not available: %d", errno);
    return 0;
  }
  char *sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  char *cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe *entries = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  CHECK(sq != MAP_FAILED && cq != MAP_FAILED && entries != MAP_FAILED);
  int fd = open("/proc/self/exe", O_RDONLY);
  char *buffer = malloc(64);
  memset(entries, 0, 2 * sizeof *entries);
  entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_NOP, .user_data = 100, .flags = IOSQE_IO_LINK};
  entries[1] = (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = fd, .addr = (uintptr_t)buffer, .len = 64, .user_data = 200};
  unsigned *array = (unsigned *)(sq + params.sq_off.array), *tail = (unsigned *)(sq + params.sq_off.tail);
  array[0] = 0, array[1] = 1;
  __atomic_store_n(tail, 2, __ATOMIC_RELEASE);
  CHECK(syscall(SYS_io_uring_enter, ring, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0) == 2);
  struct io_uring_cqe *completions = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
  for (int i = 0; i < 2; i++) say("completion %llu: %d", completions[i].user_data, completions[i].res);
  say("read an ELF header: %d", memcmp(buffer, "\177ELF", 4) == 0);
  return 0;
}
