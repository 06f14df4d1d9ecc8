/**
 * Which interrupted calls mean the same when they are made again from the start by another task. A relative
 * time-out would start anew: harmless below a second, as any time-out may come late; longer ones are waited
 * for. The kernel's own restart state (restart_block) cannot be moved.
 */
import { ERESTART_RESTARTBLOCK } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { SYS } from '../linux/syscall-numbers.js';
import type { Task } from '../process/task.js';

const LATE_AT_MOST_MILLISECONDS = 1000;
const TIMER_ABSTIME = 1;
const FUTEX_COMMANDS = 0x7f;
const FUTEX_WAIT = 0;

/** @param task interrupted inside a sleeping call, registers fetched */
export function restartsAnywhere(task: Task): boolean {
  const { regs } = task;
  switch (regs.signed('orig_rax')) {
    case SYS.poll:
      return isShort(regs.int('rdx'));
    case SYS.epoll_wait:
    case SYS.epoll_pwait:
      return isShort(regs.int('r10'));
    case SYS.epoll_pwait2:
      return isShort(timespec(task, regs.get('r10')));
    case SYS.nanosleep:
      return isShort(timespec(task, regs.get('rdi')));
    case SYS.clock_nanosleep:
      return (regs.int('rsi') & TIMER_ABSTIME) !== 0 || isShort(timespec(task, regs.get('rdx')));
    case SYS.futex:
      // Only FUTEX_WAIT has a relative time-out; FUTEX_WAIT_BITSET's is a point in time.
      return (regs.int('rsi') & FUTEX_COMMANDS) !== FUTEX_WAIT || isShort(timespec(task, regs.get('r10')));
    default:
      return regs.signed('rax') !== -ERESTART_RESTARTBLOCK;
  }
}

/** Without end, or soon over. */
const isShort = (milliseconds: number): boolean =>
  milliseconds < 0 || milliseconds <= LATE_AT_MOST_MILLISECONDS;

/** A struct timespec in milliseconds; -1 for a null pointer. */
function timespec(task: Task, address: number): number {
  if (address === 0) return -1;
  using memory = new ProcessMemory(task.tid);
  const bytes = memory.read(address, 16);
  if (bytes.length < 16) return 0;
  const view = new DataView(bytes.buffer);
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1e6;
}
