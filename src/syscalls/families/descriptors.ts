/** System calls on descriptors: files, sockets, pipes, events, message queues. All generations share the file table. */
import { EBADF, EINVAL } from '../../linux/errno.js';
import type { SyscallName } from '../../linux/syscall-numbers.js';
import {
  anyOf,
  direct,
  everywhere,
  home,
  nonNull,
  oneOf,
  refuseWhen,
  storeDescriptor,
  TRAP,
  type Treatment,
  trapWhen,
} from '../treatment.js';

/** F_GETLK, F_SETLK, F_SETLKW name the caller's pid; F_SETLEASE, F_NOTIFY signal the caller. */
const PERSONAL_FCNTL = [5, 6, 7, 1024, 1026];
/** TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCNOTTY, TIOCGSID */
const CONTROLLING_TERMINAL = [0x540e, 0x540f, 0x5410, 0x5422, 0x5429];
/** Makes a userfaultfd from /dev/userfaultfd, which answers EINVAL to all other requests. */
const USERFAULTFD_IOC_NEW = 0xaa00;

const TABLE = 'works on a descriptor, and the file table is shared';
const NEW = 'makes a descriptor in the shared file table';
const WAIT = 'waits for descriptors of the shared file table';
const MASK_SWAP = 'while it waits, another signal mask holds, and signals go to the home task';
const LONG_SLEEP =
  'a sleep with a time-out starts anew when it is interrupted; the home is not interrupted by a move';
const PEER = 'the kernel records the pid of the caller for the peer (SO_PEERCRED)';
const CREDENTIALS = 'a peer that asks for credentials (SO_PASSCRED) is told the pid of the stub';
const AIO = 'an AIO context is bound to the address space that made it';
const RING = 'a ring works in the address space of the task that made it';
const UNDO = 'semaphore undo lists are shared between home and stub';
const QUEUE = 'System V and POSIX IPC objects belong to no process';
const LAST_PID = 'the pid recorded for the last operation is that of the stub';
const STORE_STAYS = "the store's descriptor is not the program's to close";

/** IPC_STAT, SHM_STAT, SHM_STAT_ANY (linux/shm.h). */
const SHM_STATUS = [2, 13, 15];

export const DESCRIPTORS = {
  read: direct(TABLE, { mayReadSignalfd: true }),
  readv: direct(TABLE, { mayReadSignalfd: true }),
  preadv2: direct(TABLE, { mayReadSignalfd: true }),
  pread64: direct(TABLE),
  preadv: direct(TABLE),
  pwrite64: direct(TABLE),
  pwritev: direct(TABLE),
  pwritev2: direct(TABLE),
  writev: direct(TABLE),
  write: direct(TABLE),
  lseek: direct(TABLE),
  fstat: direct(TABLE),
  ftruncate: direct(TABLE),
  fallocate: direct(TABLE),
  fadvise64: direct(TABLE),
  fsync: direct(TABLE),
  fdatasync: direct(TABLE),
  sync_file_range: direct(TABLE),
  syncfs: direct(TABLE),
  readahead: direct(TABLE),
  getdents: direct(TABLE),
  getdents64: direct(TABLE),
  sendfile: direct(TABLE),
  splice: direct(TABLE),
  tee: direct(TABLE),
  vmsplice: direct(TABLE),
  copy_file_range: direct(TABLE),
  fchmod: direct(TABLE),
  fchown: direct(TABLE),
  fstatfs: direct(TABLE),
  fgetxattr: direct(TABLE),
  fsetxattr: direct(TABLE),
  flistxattr: direct(TABLE),
  fremovexattr: direct(TABLE),
  flock: direct(TABLE),
  dup: direct(TABLE),
  close: direct(STORE_STAYS, { base: refuseWhen(EBADF, storeDescriptor(0)) }),
  dup2: direct(STORE_STAYS, { base: refuseWhen(EBADF, storeDescriptor(1)) }),
  dup3: direct(STORE_STAYS, { base: refuseWhen(EBADF, storeDescriptor(1)) }),
  close_range: home(STORE_STAYS, { base: TRAP }),
  fcntl: home(
    'record locks name the caller, leases and directory notifications signal it; all else works on the shared file table',
    {
      stubWhen: oneOf(1, PERSONAL_FCNTL),
    },
  ),
  ioctl: home('the controlling terminal is that of the home task; all else works on the shared file table', {
    stubWhen: oneOf(1, CONTROLLING_TERMINAL),
    base: refuseWhen(EINVAL, oneOf(1, [USERFAULTFD_IOC_NEW])),
    partial: 'devices bound to the address space that opened them (KVM, vhost, RDMA) work in that one only',
  }),
  pipe: direct(NEW),
  pipe2: direct(NEW),
  eventfd: direct(NEW),
  eventfd2: direct(NEW),
  timerfd_create: direct(NEW),
  epoll_create: direct(NEW),
  epoll_create1: direct(NEW),
  inotify_init: direct(NEW),
  inotify_init1: direct(NEW),
  fanotify_init: direct(NEW),
  memfd_create: direct(NEW),
  memfd_secret: direct(NEW),
  timerfd_settime: direct(TABLE),
  timerfd_gettime: direct(TABLE),
  inotify_rm_watch: direct(TABLE),
  epoll_ctl: direct(TABLE),

  poll: direct(WAIT, { mayReadSignalfd: true }),
  select: direct(WAIT, { mayReadSignalfd: true }),
  epoll_wait: direct(WAIT, { mayReadSignalfd: true }),
  ppoll: home(MASK_SWAP, { stubWhen: nonNull(3), mayReadSignalfd: true }),
  pselect6: home(MASK_SWAP, { stubWhen: nonNull(5), mayReadSignalfd: true }),
  epoll_pwait: home(MASK_SWAP, { stubWhen: nonNull(4), mayReadSignalfd: true }),
  epoll_pwait2: home(`${MASK_SWAP}; ${LONG_SLEEP}`, {
    stubWhen: anyOf(nonNull(3), nonNull(4)),
    mayReadSignalfd: true,
  }),

  socket: direct(NEW),
  accept: direct(NEW),
  accept4: direct(NEW),
  socketpair: home(PEER),
  connect: home(PEER),
  listen: home(PEER),
  bind: direct(TABLE),
  recvfrom: direct(TABLE),
  recvmsg: direct(TABLE),
  recvmmsg: direct(TABLE),
  shutdown: direct(TABLE),
  getsockname: direct(TABLE),
  getpeername: direct(TABLE),
  setsockopt: direct(TABLE),
  getsockopt: direct(TABLE),
  sendto: direct(TABLE, { partial: CREDENTIALS }),
  sendmsg: direct(TABLE, {
    partial: `${CREDENTIALS}, and SCM_CREDENTIALS with the program's own pid is EPERM`,
  }),
  sendmmsg: direct(TABLE, {
    partial: `${CREDENTIALS}, and SCM_CREDENTIALS with the program's own pid is EPERM`,
  }),

  io_submit: home(AIO),
  io_getevents: home(AIO),
  io_pgetevents: home(AIO),
  io_cancel: home(AIO),
  io_destroy: home(AIO),
  io_setup: home(AIO, {
    partial: 'a context made after a generation cannot be read by that generation without a system call',
  }),
  io_uring_setup: home(RING),
  io_uring_enter: home(RING),
  io_uring_register: home(RING),

  semop: direct(UNDO, { partial: LAST_PID }),
  semtimedop: home(LONG_SLEEP, { stubWhen: nonNull(3), partial: LAST_PID }),
  semget: direct(QUEUE),
  semctl: direct(QUEUE),
  shmget: home('the segment records the pid of its creator'),
  shmctl: everywhere('tells how often a segment is attached, which every generation does', {
    stubWhen: oneOf(1, SHM_STATUS),
    base: trapWhen(oneOf(1, SHM_STATUS)),
  }),
  msgget: direct(QUEUE),
  msgctl: direct(QUEUE),
  msgsnd: direct(QUEUE, { partial: LAST_PID }),
  msgrcv: direct(QUEUE, { partial: LAST_PID }),
  mq_open: direct(NEW),
  mq_unlink: direct(QUEUE),
  mq_timedsend: direct(QUEUE),
  mq_timedreceive: direct(QUEUE),
  mq_getsetattr: direct(QUEUE),
  mq_notify: home('the kernel signals the task that asked to be notified'),
} satisfies Partial<Record<SyscallName, Treatment>>;
