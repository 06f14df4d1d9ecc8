/** System calls about processes and threads: identity, signals, scheduling, credentials, limits. */
import { EINVAL } from '../../linux/errno.js';
import type { SyscallName } from '../../linux/syscall-numbers.js';
import {
  anyOf,
  anySet,
  both,
  direct,
  everywhere,
  home,
  NATIVE,
  noneSet,
  nonNull,
  oneOf,
  refused,
  refuseWhen,
  TRAP,
  type Treatment,
  trapWhen,
} from '../treatment.js';

const CLONE_VM = 0x100;
/** A child born with this flag would escape supervision. */
const CLONE_UNTRACED = 0x0080_0000;
/** Options of prctl(2) that belong to the address space: PR_SET_THP_DISABLE, PR_SET_MDWE, PR_SET_MEMORY_MERGE. */
export const MEMORY_OPTIONS: readonly number[] = [41, 65, 67];
const PR_GET_SECCOMP = 21;
const PR_SET_SECCOMP = 22;
/** PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE */
const BECOMES_TRACER = [0, 16, 0x4206];
const ARCH_REQ_XCOMP_PERM = 0x1023;
/** Options of arch_prctl that Atlas cannot follow (asm/prctl.h). */
const UNSUPPORTED_MACHINE_STATE = [
  0x2001, // ARCH_MAP_VDSO_X32
  0x2002, // ARCH_MAP_VDSO_32
  0x2003, // ARCH_MAP_VDSO_64
  0x4002, // ARCH_ENABLE_TAGGED_ADDR
  0x5001, // ARCH_SHSTK_ENABLE
];

const IDENTITY = 'answers with the identity of the home task';
const GROUPS = "the home task's process group and session are the program's";
const BIRTH = 'the child must be born from the home task, and supervised';
const TARGET = 'signals by pid or tid, whose sender must be the home task';
const DISPOSITION = 'all signal state is kept by the home task';
const CREDENTIALS = 'credentials of a task: those of the stubs must follow';
const CREDENTIALS_LATER = 'a change made in the base is not made by stubs that exist already';
const SCHEDULING = 'scheduling of a task: home and stub must agree';
const SCHEDULING_READ = 'scheduling is set at home and in the stub alike';
const FILES_LIMIT = "the hard limit of open files stays above the store's descriptor, 1019";
const LIMITS = 'limits belong to a process, and stubs are processes to the kernel';
const USAGE = 'the program asks what it has used itself';
const USAGE_MISSING = 'what is used in a further generation is missing';
const STRICT_MODE = 'the strict mode is EINVAL, as for a task that has a filter already';
const LONG_FILTER =
  'a filter of more than 4089 instructions is ENOMEM, unless enough of them can be left out';
const KEYRING = 'keyrings belong to a task and its process';

export const THREADS = {
  clone: home(BIRTH, { base: trapWhen(anyOf(noneSet(0, CLONE_VM), anySet(0, CLONE_UNTRACED))) }),
  clone3: home(BIRTH, { base: TRAP }),
  fork: home(BIRTH, { base: TRAP }),
  vfork: home(BIRTH, { base: TRAP }),
  execve: home('replaces the image of the process and ends all its generations', { base: TRAP }),
  execveat: home('replaces the image of the process and ends all its generations', { base: TRAP }),
  exit: home('the home task ends, its stub with it'),
  exit_group: home('the process ends with the status that the home task gives'),
  wait4: home('the children are those of the home task'),
  waitid: home('the children are those of the home task'),
  unshare: home('what is unshared belongs to the home task', { base: TRAP }),
  setns: home('namespaces belong to a task', { partial: 'stubs that exist keep their namespaces' }),
  set_tid_address: home('the kernel clears the word when the home task ends'),
  set_robust_list: home('robust futexes store the tid of the home task'),
  get_robust_list: home('robust futexes store the tid of the home task'),
  rseq: refused('the kernel writes to the area on every return to user mode, for home and stub alike'),
  ptrace: home('a tracer is known by its task', {
    base: trapWhen(oneOf(0, BECOMES_TRACER)),
    partial:
      'Atlas is the tracer of all its programs, so that nobody else can be (EPERM); a line on standard error says so',
  }),
  seccomp: home("the program's filters are rewritten so that they spare Atlas's own calls", {
    base: TRAP,
    partial: `calls through the gate page are exempt from the filters; ${STRICT_MODE}; ${LONG_FILTER}`,
  }),
  prctl: both('depends on the option: of the process, of the thread, or of the address space', {
    base: trapWhen(oneOf(0, [PR_GET_SECCOMP, PR_SET_SECCOMP, ...MEMORY_OPTIONS])),
    partial: STRICT_MODE,
  }),
  arch_prctl: everywhere(
    'only the permission to use large registers belongs to the process; the rest to the caller',
    {
      stubWhen: oneOf(0, [ARCH_REQ_XCOMP_PERM]),
      base: refuseWhen(EINVAL, oneOf(0, UNSUPPORTED_MACHINE_STATE)),
      partial: 'shadow stacks, tagged addresses and mapping another vdso are EINVAL',
    },
  ),
  personality: home("the program's personality is the home task's"),
  kcmp: direct('names tasks by pid'),
  pidfd_open: direct('names a process by pid'),
  pidfd_getfd: direct('names a process by pidfd'),
  perf_event_open: home('pid 0 means the home task', {
    partial: 'counts what the thread executes in the base only',
  }),

  getpid: home(IDENTITY),
  gettid: home(IDENTITY),
  getppid: home(IDENTITY),
  getpgid: home(IDENTITY),
  getpgrp: home(IDENTITY),
  getsid: home(IDENTITY),
  setpgid: home(GROUPS),
  setsid: home(GROUPS),
  vhangup: home(GROUPS),

  rt_sigaction: home(DISPOSITION),
  rt_sigprocmask: home(DISPOSITION),
  rt_sigpending: home(DISPOSITION),
  rt_sigsuspend: home(DISPOSITION),
  rt_sigtimedwait: home(DISPOSITION),
  rt_sigreturn: home(DISPOSITION),
  sigaltstack: home(DISPOSITION, { base: TRAP }),
  pause: home(DISPOSITION),
  signalfd: home(DISPOSITION),
  signalfd4: home(DISPOSITION),
  kill: home(TARGET),
  tkill: home(TARGET),
  tgkill: home(TARGET),
  rt_sigqueueinfo: home(TARGET),
  rt_tgsigqueueinfo: home(TARGET),
  pidfd_send_signal: home(TARGET),
  restart_syscall: direct('continues the call that this very task was interrupted in'),

  sched_yield: direct('yields the processor that the task runs on'),
  sched_setaffinity: both(SCHEDULING),
  sched_setparam: both(SCHEDULING),
  sched_setscheduler: both(SCHEDULING),
  sched_setattr: both(SCHEDULING),
  setpriority: both(SCHEDULING),
  ioprio_set: both(SCHEDULING),
  sched_getaffinity: direct(SCHEDULING_READ),
  sched_getparam: direct(SCHEDULING_READ),
  sched_getscheduler: direct(SCHEDULING_READ),
  sched_getattr: direct(SCHEDULING_READ),
  getpriority: direct(SCHEDULING_READ),
  ioprio_get: direct(SCHEDULING_READ),
  sched_rr_get_interval: direct(SCHEDULING_READ),
  sched_get_priority_max: direct('a constant of the kernel'),
  sched_get_priority_min: direct('a constant of the kernel'),
  getcpu: direct('tells where the task runs'),
  iopl: both('access to I/O ports belongs to a task'),
  ioperm: both('access to I/O ports belongs to a task'),

  setuid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setgid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setreuid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setregid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setresuid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setresgid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setfsuid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setfsgid: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  setgroups: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  capset: everywhere(CREDENTIALS, { base: NATIVE, partial: CREDENTIALS_LATER }),
  getuid: direct('the stub has the credentials of its thread'),
  getgid: direct('the stub has the credentials of its thread'),
  geteuid: direct('the stub has the credentials of its thread'),
  getegid: direct('the stub has the credentials of its thread'),
  getresuid: direct('the stub has the credentials of its thread'),
  getresgid: direct('the stub has the credentials of its thread'),
  getgroups: direct('the stub has the credentials of its thread'),
  capget: direct('the stub has the credentials of its thread'),
  landlock_create_ruleset: direct('makes a descriptor'),
  landlock_add_rule: direct('changes the rules behind a descriptor'),
  landlock_restrict_self: both('restricts the calling task: its stub as well as its home'),
  lsm_set_self_attr: both('a security attribute of the calling task'),
  lsm_get_self_attr: home('a security attribute of the calling task'),
  lsm_list_modules: direct('a constant of the kernel'),
  add_key: home(KEYRING),
  request_key: home(KEYRING),
  keyctl: home(KEYRING),

  setrlimit: everywhere(LIMITS, { partial: FILES_LIMIT }),
  prlimit64: everywhere(LIMITS, { base: trapWhen(nonNull(2)), partial: FILES_LIMIT }),
  getrlimit: home(LIMITS),
  getrusage: home(USAGE, { partial: USAGE_MISSING }),
  times: home(USAGE, { partial: USAGE_MISSING }),
  acct: home('process accounting is switched for the system, in the name of the home task'),
  uretprobe: direct('made only by code that the kernel itself inserted'),
  uprobe: direct('made only by code that the kernel itself inserted'),
} satisfies Partial<Record<SyscallName, Treatment>>;
