/** System calls about memory: what they change belongs to one `mm_struct`, and every generation has its own. */
import { EINVAL } from '../../linux/errno.js';
import type { SyscallName } from '../../linux/syscall-numbers.js';
import { HINTS } from '../advice.js';
import {
  anyOf,
  anySet,
  both,
  direct,
  everywhere,
  home,
  noneOf,
  oneOf,
  refused,
  refuseWhen,
  type Treatment,
  trapWhen,
} from '../treatment.js';

const FUTEX_PRIVATE_FLAG = 0x80;
/** The command in a futex operation, without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME. */
const FUTEX_COMMAND = 0x7f;
/** LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2: they store the caller's tid. */
const FUTEX_PI_COMMANDS = [6, 7, 8, 11, 12, 13];

const LAYOUT = 'changes the layout of the address space, which is the same in all generations';
const LOCKING = 'pages are locked per address space';
const POLICY = "an area's memory policy belongs to one address space";
const PAGES = 'looks at pages that all generations share';
const FUTEX2 = 'its private futexes are bound to one address space; the C libraries fall back to futex';

export const MEMORY = {
  mmap: everywhere(LAYOUT),
  munmap: everywhere(LAYOUT),
  mremap: everywhere('moves or resizes an area: in a file whose offsets are the addresses it must be copied'),
  mprotect: everywhere('changes what may be done with memory, for all threads at once'),
  pkey_mprotect: everywhere('changes what may be done with memory, for all threads at once'),
  brk: everywhere('the heap is emulated in the store'),
  madvise: everywhere(
    'discarding shared memory means to punch a hole, and area flags belong to one address space',
    {
      base: trapWhen(noneOf(2, [...HINTS])),
      partial:
        'MADV_GUARD_INSTALL and GUARD_REMOVE are EINVAL, as before Linux 6.13; MADV_FREE frees at once',
    },
  ),
  process_madvise: direct('hints about pages, which all generations share', {
    base: refuseWhen(EINVAL, noneOf(3, [...HINTS])),
    partial: 'advice that discards memory is EINVAL, as before Linux 6.13',
  }),
  mlock: everywhere(LOCKING),
  mlock2: everywhere(LOCKING),
  munlock: everywhere(LOCKING),
  mlockall: everywhere(LOCKING),
  munlockall: everywhere(LOCKING),
  mseal: everywhere('seals an area against changes, per address space'),
  pkey_alloc: everywhere('protection keys are handed out per address space', {
    partial: 'the access rights go to the register of the task that executes the call',
  }),
  pkey_free: everywhere('protection keys are handed out per address space'),
  mbind: everywhere(POLICY),
  set_mempolicy_home_node: everywhere(POLICY),
  set_mempolicy: both("a task's memory policy"),
  get_mempolicy: direct("a task's memory policy is set at home and in the stub alike"),
  migrate_pages: home('names an address space by pid'),
  move_pages: home('names an address space by pid'),
  shmat: everywhere(LAYOUT),
  shmdt: everywhere(LAYOUT),
  remap_file_pages: refused(
    'a non-linear mapping breaks offset = address; the kernel only emulates it anyway',
  ),
  map_shadow_stack: refused('a shadow stack cannot be shared between address spaces'),
  userfaultfd: refused('faults would be reported for one address space only'),
  uselib: refused('maps a library without a way to see where; obsolete since Linux 5.15'),
  modify_ldt: everywhere('the local descriptor table belongs to one address space'),
  membarrier: everywhere('reaches the threads of one address space only'),
  msync: direct('writes back pages that all generations share'),
  mincore: direct(PAGES),
  cachestat: direct(PAGES),
  process_vm_readv: direct('names the other process by pid, and the memory behind it is shared'),
  process_vm_writev: direct('names the other process by pid, and the memory behind it is shared'),
  process_mrelease: direct('acts on the process that a pidfd names'),
  futex: {
    stub: 'private-futex',
    stubWhen: anyOf(anySet(1, FUTEX_PRIVATE_FLAG), oneOf(1, FUTEX_PI_COMMANDS, FUTEX_COMMAND)),
    base: trapWhen(anySet(1, FUTEX_PRIVATE_FLAG)),
    reason:
      'a private futex is bound to one address space and becomes a shared one; priority inheritance goes by the tid',
  },
  futex_waitv: refused(FUTEX2),
  futex_wake: refused(FUTEX2),
  futex_wait: refused(FUTEX2),
  futex_requeue: refused(FUTEX2),
} satisfies Partial<Record<SyscallName, Treatment>>;
