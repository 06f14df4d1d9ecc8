/**
 * What of a sleep is lost when it is interrupted. Most calls mean the same when they are made again. The others would
 * wait for their whole time-out anew, or tell what they had done so far: *nobody interrupts these*, they are caught as
 * they return.
 *
 * | what is left | calls | may be interrupted |
 * | --- | --- | --- |
 * | is passed on: an absolute time, or written back (fs/select.c, poll_select_finish) | FUTEX_WAIT_BITSET, select | always |
 * | is known to the task only (restart_block) | poll, nanosleep, FUTEX_WAIT | if the same task goes on with it |
 * | is forgotten: EINTR | epoll_wait, a socket with SO_RCVTIMEO, select in read-only memory | no |
 * | part of the work is done, and would be told | a long send, a write to a pipe | no |
 *
 * A time-out may come late, by what its program was kept from the processor: up to a second, and once, is taken for
 * that. An event loop that wakes up ten times a second need not be waited for.
 */
import { ProcessMemory } from '../linux/memory.js';
import { readMaps } from '../linux/proc.js';
import { socketTimeOut } from '../linux/socket-time-out.js';
import { SYS } from '../linux/syscall-numbers.js';
import type { Thread } from './model.js';
import type { Task } from './task.js';

const LATE_AT_MOST_MILLISECONDS = 1000;
const TIMER_ABSTIME = 1;
const FUTEX_COMMANDS = 0x7f;
const FUTEX_WAIT = 0;
/** linux/io_uring.h; struct io_uring_getevents_arg { sigmask; sigmask_sz; min_wait_usec; ts } */
const IORING_ENTER_EXT_ARG = 8;
const EXT_ARG_TS = 16;
const MSG_WAITALL = 0x100;

/** A call as /proc/TID/syscall or the registers have it. */
export interface Call {
  nr: number;
  args: readonly number[];
}

/** Of a sleep that does not mean the same when it is made anew. */
export interface TimeOut {
  /** Infinite where an interruption shows at any time. */
  milliseconds: number;
  /** The task that sleeps can be interrupted, and goes on with what is left. */
  keptByTask: boolean;
  /** The kernel writes there what is left, whenever it is interrupted (nanosleep(2)). */
  remainder?: number;
}

const lost = (milliseconds: number | undefined): TimeOut | undefined =>
  milliseconds === undefined ? undefined : { milliseconds, keptByTask: false };

function kept(milliseconds: number | undefined, remainder = 0): TimeOut | undefined {
  if (milliseconds === undefined) return undefined;
  return remainder === 0 ? { milliseconds, keptByTask: true } : { milliseconds, keptByTask: true, remainder };
}

const NOT_BEFORE_ITS_END = lost(Number.POSITIVE_INFINITY);

/** The time-out of the call that the task is in; undefined when the call can be made again, by any task. */
export function timeOutOf(call: Call, thread: Thread, task: Task): TimeOut | undefined {
  const { tid } = task;
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0] = call.args;
  const socket = (direction: 'receive' | 'send'): TimeOut | undefined =>
    lost(socketTimeOut(thread.process.pid, tid, first, direction));
  switch (call.nr) {
    case SYS.poll:
      return kept(finite(third));
    case SYS.epoll_wait:
    case SYS.epoll_pwait:
      return lost(finite(fourth));
    case SYS.epoll_pwait2:
    case SYS.semtimedop:
      return lost(timespec(tid, fourth));
    case SYS.rt_sigtimedwait:
      return lost(timespec(tid, third));
    case SYS.io_getevents:
    case SYS.io_pgetevents:
      return lost(timespec(tid, fifth));
    case SYS.io_uring_enter:
      return fourth & IORING_ENTER_EXT_ARG && fifth !== 0
        ? lost(timespec(tid, word(tid, fifth + EXT_ARG_TS)))
        : undefined;
    case SYS.select:
    case SYS.pselect6:
      return isWritable(tid, fifth)
        ? undefined
        : lost(timespec(tid, fifth, call.nr === SYS.select ? 1e3 : 1e6));
    case SYS.ppoll:
      return isWritable(tid, third) ? undefined : lost(timespec(tid, third));
    case SYS.nanosleep:
      return kept(timespec(tid, first), second);
    case SYS.clock_nanosleep:
      return second & TIMER_ABSTIME ? undefined : kept(timespec(tid, third), fourth);
    case SYS.futex:
      // Only FUTEX_WAIT has a relative time-out; FUTEX_WAIT_BITSET's is a point in time.
      return (second & FUTEX_COMMANDS) === FUTEX_WAIT ? kept(timespec(tid, fourth)) : undefined;
    case SYS.restart_syscall:
      return kept(Number.POSITIVE_INFINITY);
    case SYS.read:
    case SYS.readv:
    case SYS.preadv2:
    case SYS.accept:
    case SYS.accept4:
      return socket('receive');
    case SYS.recvfrom:
      return fourth & MSG_WAITALL ? NOT_BEFORE_ITS_END : socket('receive');
    case SYS.recvmsg:
      return third & MSG_WAITALL ? NOT_BEFORE_ITS_END : socket('receive');
    case SYS.connect:
      return socket('send');
    case SYS.recvmmsg:
    case SYS.write:
    case SYS.writev:
    case SYS.pwritev2:
    case SYS.sendto:
    case SYS.sendmsg:
    case SYS.sendmmsg:
    case SYS.sendfile:
    case SYS.splice:
    case SYS.vmsplice:
      return NOT_BEFORE_ITS_END;
    default:
      return undefined;
  }
}

/** Whether the call may be made again with its whole time-out. */
export const mayStartAnew = (thread: Thread, timeOut: TimeOut | undefined): boolean =>
  timeOut === undefined ||
  (timeOut.milliseconds <= LATE_AT_MOST_MILLISECONDS &&
    // It may be the same call that has started anew before.
    performance.now() - thread.startedAnew > timeOut.milliseconds + LATE_AT_MOST_MILLISECONDS);

/** Whether the task may be interrupted that is in the call, and goes on with it afterwards. */
export const mayBeInterrupted = (thread: Thread, timeOut: TimeOut | undefined): boolean =>
  timeOut?.keptByTask || mayStartAnew(thread, timeOut);

/** To be called when that is done, or about to be. */
export function noteInterruption(thread: Thread, timeOut: TimeOut | undefined): void {
  if (timeOut && !timeOut.keptByTask) thread.startedAnew = performance.now();
}

/** What a sleep that is interrupted must not change in memory; to be made while it is certain to sleep. */
export class Remainder {
  readonly #bytes: Uint8Array | undefined;

  constructor(
    readonly task: Task,
    readonly timeOut: TimeOut | undefined,
  ) {
    if (timeOut?.remainder === undefined) return;
    using memory = new ProcessMemory(task.tid);
    this.#bytes = memory.read(timeOut.remainder, TIMESPEC_BYTES);
  }

  /** The task has been interrupted. */
  restore(): void {
    if (!this.#bytes || this.timeOut?.remainder === undefined) return;
    using memory = new ProcessMemory(this.task.tid);
    memory.write(this.timeOut.remainder, this.#bytes);
  }
}

const TIMESPEC_BYTES = 16;

/** An int of milliseconds, negative for "without end", as an unsigned register holds it. */
const finite = (register: number): number | undefined => (register < 2 ** 31 ? register : undefined);

/** A struct timespec, or with another unit than a nanosecond a timeval, in milliseconds; undefined for a null pointer. */
function timespec(tid: number, address: number, perMillisecond = 1e6): number | undefined {
  if (address === 0) return undefined;
  using memory = new ProcessMemory(tid);
  const bytes = memory.read(address, TIMESPEC_BYTES);
  if (bytes.length < TIMESPEC_BYTES) return 0;
  const view = new DataView(bytes.buffer);
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / perMillisecond;
}

function word(tid: number, address: number): number {
  using memory = new ProcessMemory(tid);
  const bytes = memory.read(address, 8);
  return bytes.length < 8 ? 0 : Number(new DataView(bytes.buffer).getBigUint64(0, true));
}

/** Whether the kernel can write there what is left; a null pointer is no time-out at all. */
const isWritable = (tid: number, address: number): boolean =>
  address === 0 ||
  readMaps(tid).some(
    ({ start, end, permissions }) => start <= address && address < end && permissions[1] === 'w',
  );
