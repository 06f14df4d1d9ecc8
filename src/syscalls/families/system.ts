/** System calls about time, about the system as a whole, and those that Linux no longer has. */
import type { SyscallName } from '../../linux/syscall-numbers.js';
import { anyOf, anySet, direct, home, oneOf, type ArgumentCondition, type Treatment } from '../treatment.js';

/** CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID; negative ids are CPU clocks by pid, or clocks of devices. */
const CPU_CLOCK: ArgumentCondition = anyOf(oneOf(0, [2, 3]), anySet(0, 0x8000_0000));

const WALL = 'the time is the same for everybody';
const CPU = 'CPU clocks are those of the home task; all other clocks are the same for everybody';
const CPU_MISSING = 'a CPU clock does not count what is used in a further generation';
const OWNER = 'the timer belongs to the home task, which it signals';
const SYSTEM = 'acts on the system, or tells about it, the same for every caller';
const GONE = 'Linux does not implement it any more: the kernel itself answers ENOSYS';

export const SYSTEM_WIDE = {
  nanosleep: direct(WALL),
  gettimeofday: direct(WALL),
  time: direct(WALL),
  settimeofday: direct(WALL),
  adjtimex: direct(WALL),
  clock_settime: direct(WALL),
  clock_adjtime: direct(WALL),
  clock_getres: direct(WALL),
  clock_gettime: home(CPU, { stubWhen: CPU_CLOCK, partial: CPU_MISSING }),
  clock_nanosleep: home(CPU, { stubWhen: CPU_CLOCK, partial: CPU_MISSING }),
  timer_create: home(OWNER),
  timer_settime: home(OWNER),
  timer_gettime: home(OWNER),
  timer_getoverrun: home(OWNER),
  timer_delete: home(OWNER),
  alarm: home(OWNER),
  setitimer: home(OWNER, { partial: CPU_MISSING }),
  getitimer: home(OWNER, { partial: CPU_MISSING }),

  uname: direct(SYSTEM),
  sysinfo: direct(SYSTEM),
  syslog: direct(SYSTEM),
  getrandom: direct(SYSTEM),
  sync: direct(SYSTEM),
  ustat: direct(SYSTEM),
  sysfs: direct(SYSTEM),
  sethostname: direct(SYSTEM),
  setdomainname: direct(SYSTEM),
  swapon: direct(SYSTEM),
  swapoff: direct(SYSTEM),
  reboot: direct(SYSTEM),
  init_module: direct(SYSTEM),
  finit_module: direct(SYSTEM),
  delete_module: direct(SYSTEM),
  kexec_load: direct(SYSTEM),
  kexec_file_load: direct(SYSTEM),
  quotactl: direct(SYSTEM),
  quotactl_fd: direct(SYSTEM),
  bpf: direct(SYSTEM),

  _sysctl: direct(GONE),
  create_module: direct(GONE),
  get_kernel_syms: direct(GONE),
  query_module: direct(GONE),
  nfsservctl: direct(GONE),
  getpmsg: direct(GONE),
  putpmsg: direct(GONE),
  afs_syscall: direct(GONE),
  tuxcall: direct(GONE),
  security: direct(GONE),
  vserver: direct(GONE),
  set_thread_area: direct(GONE),
  get_thread_area: direct(GONE),
  lookup_dcookie: direct(GONE),
  epoll_ctl_old: direct(GONE),
  epoll_wait_old: direct(GONE),
} satisfies Partial<Record<SyscallName, Treatment>>;
