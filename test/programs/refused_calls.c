/* Memory calls that fail take nothing away: bad arguments, sealed memory, ranges that are none. */
#include <sys/shm.h>
#include "check.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static char *fresh(char byte) {
  char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  memset(area, byte, 8 * PAGE);
  return area;
}

static int intact(const char *area, char byte) {
  for (size_t i = 0; i < 8 * PAGE; i++)
    if (area[i] != byte) return 0;
  return 1;
}

#define TRY(call)                                                     \
  do {                                                                \
    errno = 0;                                                        \
    long result = (long)(call);                                       \
    say("%s: %s %d, intact: %d", #call, result == -1 ? "error" : "ok", result == -1 ? errno : 0, \
        intact(area, 'x'));                                           \
  } while (0)

static long mmap_at(char *at, int protection, int flags, int fd, long offset) {
  return syscall(SYS_mmap, at, 2 * PAGE, protection, flags | MAP_FIXED, fd, offset);
}

static void bad_arguments(char *area) {
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), 8 * PAGE) == 0);
  char path[60];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
  int write_only = open(path, O_WRONLY), read_only = open(path, O_RDONLY), folder = open("/", O_RDONLY);
  CHECK(write_only >= 0 && read_only >= 0 && folder >= 0);
  TRY(mmap_at(area, PROT_READ, MAP_SHARED, 987, 0));
  TRY(mmap_at(area, PROT_READ, MAP_PRIVATE, 987, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_PRIVATE, 987, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_SHARED, read_only, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_PRIVATE, write_only, 0));
  TRY(mmap_at(area, PROT_READ, MAP_SHARED, write_only, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_PRIVATE, folder, 0));
  TRY(mmap_at(area, PROT_READ, MAP_PRIVATE, folder, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 100));
  TRY(mmap_at(area, PROT_READ, MAP_SHARED, fileno(file), 100));
  TRY(mmap_at(area, PROT_READ, 0, -1, 0));
  TRY(mmap_at(area, PROT_READ, MAP_SHARED_VALIDATE | 0x200, fileno(file), 0));
  TRY(mmap_at(area + 1, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0));
  TRY(syscall(SYS_mmap, area, 0, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
  TRY(syscall(SYS_mmap, area, -1L, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
  TRY(syscall(SYS_mmap, area, 1UL << 47, PROT_READ | PROT_WRITE, ANONYMOUS | MAP_FIXED, -1, 0));
  TRY(syscall(SYS_mmap, area, (1UL << 47) - (unsigned long)area, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
  TRY(syscall(SYS_munmap, area, (1UL << 47) - (unsigned long)area));
  TRY(syscall(SYS_munmap, area, 0));
  TRY(syscall(SYS_munmap, area, -1L));
  TRY(syscall(SYS_munmap, area, 1L << 62));
  TRY(syscall(SYS_munmap, area + 1, PAGE));
  TRY(syscall(SYS_munmap, -1L, 1));
  TRY(syscall(SYS_munmap, -(long)PAGE, PAGE));
  TRY(syscall(SYS_munmap, 1UL << 63, PAGE));
  TRY(syscall(SYS_munmap, (1UL << 63) + 1, PAGE));
  TRY(syscall(SYS_munmap, 0, PAGE));
  TRY(syscall(SYS_madvise, area, -1L, MADV_DONTNEED));
  TRY(syscall(SYS_madvise, area + 1, PAGE, MADV_DONTNEED));
  TRY(syscall(SYS_madvise, -(long)PAGE, PAGE, MADV_DONTNEED));
  TRY(syscall(SYS_madvise, area, 8 * PAGE, MADV_REMOVE));
  TRY(syscall(SYS_madvise, area, 8 * PAGE, 4242));
  TRY(syscall(SYS_mprotect, area + 1, PAGE, PROT_NONE));
  TRY(syscall(SYS_mprotect, area, PAGE, 0x40));
  TRY(syscall(SYS_mprotect, area, PAGE, PROT_READ | PROT_GROWSDOWN));
  TRY(syscall(SYS_mprotect, area, PAGE, PROT_READ | PROT_GROWSUP));
  TRY(syscall(SYS_mprotect, area, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
  TRY(syscall(SYS_pkey_mprotect, area, PAGE, PROT_NONE, 77));
  TRY(syscall(SYS_mprotect, -(long)PAGE, PAGE, PROT_NONE));
  TRY(syscall(SYS_mremap, area, PAGE, PAGE, 8, 0));
  TRY(syscall(SYS_mremap, area, PAGE, 0, MREMAP_MAYMOVE, 0));
  TRY(syscall(SYS_mremap, area, 2 * PAGE, PAGE, MREMAP_FIXED, area + 4 * PAGE));
  TRY(syscall(SYS_mremap, area, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE));
  TRY(syscall(SYS_mremap, area, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 4 * PAGE + 1));
  TRY(syscall(SYS_mremap, area, PAGE, 1UL << 47, MREMAP_MAYMOVE, 0));
  TRY(syscall(SYS_mremap, -(long)PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0));
  TRY(syscall(SYS_mremap, 0x10000, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area));
  TRY(syscall(SYS_mlock, -(long)PAGE, PAGE));
  TRY(syscall(SYS_mlock2, area, PAGE, 16));
  TRY(syscall(SYS_shmat, 123456789, area, 0));
  TRY(syscall(SYS_shmat, 123456789, area, SHM_REMAP));
  TRY(syscall(SYS_shmdt, area));
  int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
  CHECK(id >= 0);
  TRY(syscall(SYS_shmat, id, area, 0));
  TRY(syscall(SYS_shmat, id, area + 1, SHM_REMAP));
  TRY(syscall(SYS_shmat, id, 0L, SHM_REMAP));
  CHECK(shmctl(id, IPC_RMID, NULL) == 0);
}

static void sealed(char *area) {
  if (syscall(SYS_mseal, area, 8 * PAGE, 0) == -1) {
    CHECK(errno == ENOSYS);
    return;
  }
  FILE *file = tmpfile();
  CHECK(ftruncate(fileno(file), 8 * PAGE) == 0);
  char *other = fresh('o');
  TRY(syscall(SYS_mseal, area, PAGE, 4));
  TRY(syscall(SYS_munmap, area, PAGE));
  TRY(syscall(SYS_munmap, area + 2 * PAGE, PAGE));
  TRY(syscall(SYS_munmap, area - PAGE, 3 * PAGE));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  TRY(mmap_at(area, PROT_READ, MAP_SHARED, fileno(file), 0));
  TRY(mmap_at(area, PROT_READ, MAP_PRIVATE, fileno(file), 0));
  TRY(mmap_at(area, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0));
  TRY(syscall(SYS_mprotect, area, PAGE, PROT_NONE));
  TRY(syscall(SYS_pkey_mprotect, area, PAGE, PROT_NONE, -1));
  TRY(syscall(SYS_mremap, area, 8 * PAGE, 2 * PAGE, 0, 0));
  TRY(syscall(SYS_mremap, area, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0));
  TRY(syscall(SYS_mremap, other, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area));
  TRY(syscall(SYS_mremap, area, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other));
  TRY(syscall(SYS_mremap, area, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
  int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
  CHECK(id >= 0);
  TRY(syscall(SYS_shmat, id, area, SHM_REMAP));
  CHECK(shmctl(id, IPC_RMID, NULL) == 0);
  say("the other one: %d", intact(other, 'o'));
  /* What can be written may be discarded; what cannot, not. */
  char *read_only = fresh('x');
  CHECK(mprotect(read_only, 8 * PAGE, PROT_READ) == 0 && syscall(SYS_mseal, read_only, 8 * PAGE, 0) == 0);
  errno = 0;
  int result = madvise(read_only, 8 * PAGE, MADV_DONTNEED);
  say("discarded, read-only: %d %d, intact: %d", result, errno, intact(read_only, 'x'));
  result = madvise(area, 8 * PAGE, MADV_DONTNEED);
  say("discarded: %d, zero: %d", result, all_zero(area, 8 * PAGE));
  memset(area, 'x', 8 * PAGE);
  pid_t pid = fork();
  if (pid == 0) {
    area[0] = 'y';
    say("in the child: %d", munmap(area, PAGE) == -1 ? errno : 0);
    _exit(area[PAGE]);
  }
  say_ending("child", pid);
  say("intact in the parent: %d", intact(area, 'x'));
}

static void sealed_heap(void) {
  char *old = sbrk(4 * PAGE);
  CHECK(old != (void *)-1);
  char *start = (char *)(((uintptr_t)old + PAGE - 1) & ~(PAGE - 1));
  memset(start, 'h', 3 * PAGE);
  if (syscall(SYS_mseal, start, 3 * PAGE, 0) == -1) return;
  say("the break stays: %d, %c", (char *)syscall(SYS_brk, start) == old + 4 * PAGE, start[2 * PAGE]);
}

int main(void) {
  static char buffer[1 << 15];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  bad_arguments(fresh('x'));
  sealed(fresh('x'));
  sealed_heap();
  return 0;
}
