/** The system-call table: every x86-64 system call, once, with its treatment and the reason. */
import { ENOSYS } from '../linux/errno.js';
import {
  isKnownSyscall,
  SYS,
  SYSCALL_LIMIT,
  type SyscallName,
  syscallName,
} from '../linux/syscall-numbers.js';
import { DESCRIPTORS } from './families/descriptors.js';
import { MEMORY } from './families/memory.js';
import { PATHS } from './families/paths.js';
import { SYSTEM_WIDE } from './families/system.js';
import { THREADS } from './families/threads.js';
import { type StubClass, type Treatment } from './treatment.js';

/** The families in the order of the compatibility page. No call is in two of them. */
export const FAMILIES: readonly { title: string; calls: Partial<Record<SyscallName, Treatment>> }[] = [
  { title: 'Memory', calls: MEMORY },
  { title: 'Processes and threads', calls: THREADS },
  { title: 'Descriptors', calls: DESCRIPTORS },
  { title: 'Paths', calls: PATHS },
  { title: 'Time and system', calls: SYSTEM_WIDE },
];

export const TREATMENTS: Readonly<Record<SyscallName, Treatment>> = {
  ...MEMORY,
  ...THREADS,
  ...DESCRIPTORS,
  ...PATHS,
  ...SYSTEM_WIDE,
};

const CLASSES: readonly StubClass[] = [
  'refused',
  'direct',
  'home',
  'everywhere',
  'both',
  'path',
  'private-futex',
];

/** Index into `CLASSES` by number: read at every stop of a stub. A number unknown to us has 0, `refused`. */
const CLASS_CODES = new Uint8Array(SYSCALL_LIMIT);
const REFUSAL_ERRNO = new Uint8Array(SYSCALL_LIMIT);
for (const [name, number] of Object.entries(SYS)) {
  const { stub, base } = TREATMENTS[name as SyscallName];
  CLASS_CODES[number] = CLASSES.indexOf(stub);
  if (stub === 'refused' && base.kind === 'refuse') REFUSAL_ERRNO[number] = base.errno;
}

/**
 * The class of a call at which a stub stopped. A call whose treatment has a `stubWhen` stops only when that holds; a
 * call that is direct can stop only while a signalfd is in use.
 */
export function stubClassOf(number: number): StubClass {
  return CLASSES[CLASS_CODES[number] ?? 0];
}

/** The errno with which a call of class `refused` fails. */
export function refusalErrno(number: number): number {
  return REFUSAL_ERRNO[number] || ENOSYS;
}

/** The treatment of a call, unless Linux 6.18 does not have it. */
export function treatmentOf(number: number): Treatment | undefined {
  return isKnownSyscall(number) ? TREATMENTS[syscallName(number) as SyscallName] : undefined;
}
