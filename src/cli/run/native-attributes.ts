/**
 * Attributes that a program gets from its parent, and that Node.js changes in the two processes between the
 * user's shell and the program. They are put back, so that the program starts as it would natively.
 */
import fs from 'node:fs';
import { c } from '../../linux/ffi.js';
import { getLimit, RLIMIT_NOFILE, setOwnLimit } from '../../linux/rlimit.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { RECORDED_DESCRIPTORS } from '../../x64/starter.js';
import type { Caller } from './caller.js';

/** fcntl(2), asm-generic/fcntl.h */
const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;

interface Descriptor {
  number: number;
  /** Where the link in /proc/self/fd points. */
  target: string;
  closeOnExec: boolean;
}

function openDescriptors(): Descriptor[] {
  return fs.readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const info = fs.readFileSync(`/proc/self/fdinfo/${name}`, 'utf8');
      const flags = Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info)![1]!, 8);
      const target = fs.readlinkSync(`/proc/self/fd/${name}`);
      return [{ number: Number(name), target, closeOnExec: (flags & O_CLOEXEC) !== 0 }];
    } catch {
      // The descriptor that listed the directory is closed by now.
      return [];
    }
  });
}

/**
 * The descriptors above 2 that this process got from its parent, to be asked before it opens anything itself.
 * Node.js marks them close-on-exec when it starts (libuv's uv_disable_stdio_inheritance), like its own.
 * Without the caller's record Node.js's own are guessed at: event files, pipes with both ends here, and /dev/null.
 */
export function inheritedDescriptors(caller: Caller | undefined): number[] {
  const open = openDescriptors().filter(({ number }) => number > 2);
  if (caller) {
    return open
      .filter(({ number, closeOnExec }) =>
        number < RECORDED_DESCRIPTORS ? caller.descriptors.has(number) : !closeOnExec,
      )
      .map(({ number }) => number);
  }
  const ends = new Map<string, number>();
  for (const { target } of open) ends.set(target, (ends.get(target) ?? 0) + 1);
  return open
    .filter(({ target, closeOnExec }) => {
      if (!closeOnExec) return true;
      if (target.startsWith('anon_inode:') || target === '/dev/null') return false;
      return !target.startsWith('pipe:') || ends.get(target) === 1;
    })
    .map(({ number }) => number);
}

/** Of the standard streams, those that the parent had closed: Node.js opens /dev/null there. */
export const closedStreams = (caller: Caller | undefined): number[] =>
  caller ? [0, 1, 2].filter((stream) => !caller.descriptors.has(stream)) : [];

/** The first number from `lowest` that is not open. */
export function freeDescriptor(lowest: number): number {
  const used = new Set(openDescriptors().map(({ number }) => number));
  let candidate = lowest;
  while (used.has(candidate)) candidate++;
  return candidate;
}

export function setCloseOnExec(descriptor: number, closeOnExec: boolean): void {
  c.syscall3(SYS.fcntl, descriptor, F_SETFD, closeOnExec ? FD_CLOEXEC : 0);
}

/** A copy that the program does not inherit. */
export function privateCopy(descriptor: number): number {
  return Number(c.syscall3(SYS.fcntl, descriptor, F_DUPFD_CLOEXEC, 3));
}

/**
 * Points `descriptors` at /dev/null. As long as we hold a pipe that the program closed, its reader waits for
 * the end in vain; and of a terminal, Node.js would restore the modes that the program may have changed.
 */
export function letGoOf(...descriptors: number[]): void {
  const nothing = fs.openSync('/dev/null', 'r+');
  redirect(nothing, ...descriptors);
  fs.closeSync(nothing);
}

/** Points `descriptors` at what `target` is. */
export function redirect(target: number, ...descriptors: number[]): void {
  for (const descriptor of descriptors) c.syscall3(SYS.dup3, target, descriptor, O_CLOEXEC);
}

/**
 * The soft limit of open files that we were started with: Node.js raises it to the hard one as it starts. Without the
 * caller's record, the one that our parent has; `undefined` when the hard limits show that this cannot be.
 */
export function openFileLimit(caller: Caller | undefined): number | undefined {
  if (caller) return Number(caller.openFiles);
  const [, soft, hard] =
    /^Max open files\s+(\d+)\s+(\d+)/m.exec(fs.readFileSync(`/proc/${process.ppid}/limits`, 'utf8')) ?? [];
  if (soft === undefined || BigInt(hard!) !== getLimit(process.pid, 'openFiles').hard) return undefined;
  return Number(soft);
}

/** Runs `action` with that soft limit of open files, for children to inherit. */
export async function withOpenFileLimit<T>(soft: number | undefined, action: () => Promise<T>): Promise<T> {
  const raised = getLimit(process.pid, 'openFiles');
  const needed = Math.max(...openDescriptors().map(({ number }) => number)) + 32;
  if (soft === undefined || soft < needed) return action();
  setOwnLimit(RLIMIT_NOFILE, { soft: BigInt(soft), hard: raised.hard });
  try {
    return await action();
  } finally {
    setOwnLimit(RLIMIT_NOFILE, raised);
  }
}

/**
 * Ends this process at once. `process.exit` would wait for a thread that is blocked in wait4(2), and give a
 * terminal the modes back that it had when we started.
 */
export function exitNow(status: number): never {
  c.syscall3(SYS.exit_group, status, 0, 0);
  throw new Error('exit_group returned');
}
