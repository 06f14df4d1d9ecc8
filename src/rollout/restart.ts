/**
 * Relative time-outs of interrupted calls. Made again from the start by another task, a call means the same, except
 * that its time-out starts anew; the kernel's own restart state (restart_block) cannot be moved.
 *
 * A time-out may come late, by what its program was kept from the processor: up to a second, and once, is
 * taken for that. Whatever waits longer is met where the call returns.
 */
import { ProcessMemory } from '../linux/memory.js';
import { SYS } from '../linux/syscall-numbers.js';
import type { Thread } from '../process/model.js';

const LATE_AT_MOST_MILLISECONDS = 1000;
const TIMER_ABSTIME = 1;
const FUTEX_COMMANDS = 0x7f;
const FUTEX_WAIT = 0;

/** @param timeOut of the call that the thread is inside, in milliseconds; undefined when it has none */
export const mayStartAnew = (thread: Thread, timeOut: number | undefined): boolean =>
  timeOut === undefined ||
  (timeOut <= LATE_AT_MOST_MILLISECONDS &&
    // It may be the same call that has started anew before.
    performance.now() - thread.startedAnew > timeOut + LATE_AT_MOST_MILLISECONDS);

/**
 * @param call as /proc/TID/syscall or the registers have it
 * @param tid a task whose memory the arguments are in
 * @returns milliseconds; undefined without a time-out, or when what is left of it is passed on: as a point in
 *   time, or written back by the kernel (select, ppoll: fs/select.c, poll_select_finish)
 */
export function timeOutOf(call: { nr: number; args: readonly number[] }, tid: number): number | undefined {
  const [, second = 0, third = 0, fourth = 0] = call.args;
  switch (call.nr) {
    case SYS.poll:
      return finite(third);
    case SYS.epoll_wait:
    case SYS.epoll_pwait:
      return finite(fourth);
    case SYS.epoll_pwait2:
    case SYS.semtimedop:
      return timespec(tid, fourth);
    case SYS.nanosleep:
      return timespec(tid, call.args[0] ?? 0);
    case SYS.clock_nanosleep:
      return second & TIMER_ABSTIME ? undefined : timespec(tid, third);
    case SYS.futex:
      // Only FUTEX_WAIT has a relative time-out; FUTEX_WAIT_BITSET's is a point in time.
      return (second & FUTEX_COMMANDS) === FUTEX_WAIT ? timespec(tid, fourth) : undefined;
    case SYS.restart_syscall:
      // Only the task itself can go on with it.
      return Number.POSITIVE_INFINITY;
    default:
      return undefined;
  }
}

/** An int of milliseconds, negative for "without end", as an unsigned register holds it. */
const finite = (register: number): number | undefined => (register < 2 ** 31 ? register : undefined);

/** A struct timespec in milliseconds; undefined for a null pointer. */
function timespec(tid: number, address: number): number | undefined {
  if (address === 0) return undefined;
  using memory = new ProcessMemory(tid);
  const bytes = memory.read(address, 16);
  if (bytes.length < 16) return 0;
  const view = new DataView(bytes.buffer);
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1e6;
}
