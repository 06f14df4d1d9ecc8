/**
 * Breakpoints in a generation's text. A thread that sleeps in the kernel cannot run an instruction before it
 * comes out at the address behind its `syscall`: a breakpoint there catches it, and its sleep is not disturbed.
 */
import { ProcessMemory } from '../linux/memory.js';
import { hasSignal, kernelPlace, readMaps, type SignalMasks, signalMasks } from '../linux/proc.js';
import { getSiginfo, getSigmask, setSigmask, SIGINFO_SIZE, SIGSET_SIZE } from '../linux/ptrace.js';
import { SIGTRAP } from '../linux/signals.js';
import { SYS } from '../linux/syscall-numbers.js';
import { GATE_END, GATE_START } from '../x64/gate.js';
import type { Breakpoint, Generation, Request, Space, Thread } from './model.js';
import { fallAsleep, wakeUp, type Waking } from './place.js';
import type { Task } from './task.js';
import { INT3 } from './text.js';

/**
 * Code in memory that all generations share (written by a compiler at run time, say) can have no breakpoint of one
 * of them: the others would run into it.
 */
function isPrivate(text: Generation, address: number): boolean {
  if (text.trapAddresses.has(address)) return true;
  const area = readMaps(text.hostPid).find(({ start, end }) => start <= address && address < end);
  return area?.permissions[3] === 'p';
}

/** @returns undefined where none can be */
function plant(text: Generation, address: number): Breakpoint | undefined {
  const present = text.breakpoints.get(address);
  if (present) return present;
  if (!isPrivate(text, address)) return undefined;
  using memory = new ProcessMemory(text.hostPid);
  const original = memory.read(address, 1)[0];
  if (original === undefined || !memory.write(address, Uint8Array.of(INT3))) return undefined;
  const breakpoint: Breakpoint = {
    text,
    address,
    original,
    sleepers: new Set(),
    visitors: new Map(),
    stepping: 0,
  };
  text.breakpoints.set(address, breakpoint);
  text.trapAddresses.add(address);
  for (const copy of text.copies) copy.note(address, original);
  return breakpoint;
}

/** Takes the byte away again when nobody needs it; while somebody steps over it, that is for later. */
export function release(breakpoint: Breakpoint): void {
  const { text, address, original, sleepers, visitors, stepping } = breakpoint;
  if (sleepers.size > 0 || visitors.size > 0 || stepping > 0) return;
  if (text.breakpoints.get(address) !== breakpoint) return;
  text.breakpoints.delete(address);
  using memory = new ProcessMemory(text.hostPid);
  memory.write(address, Uint8Array.of(original));
}

const MAKES_TASKS: ReadonlySet<number> = new Set([SYS.clone, SYS.clone3, SYS.fork, SYS.vfork]);

/** What of SIGTRAP's state the kernel overwrites when a breakpoint hits while SIGTRAP is blocked (force_sig). */
const blocksTrap = (masks: SignalMasks): boolean => hasSignal(masks.blocked, SIGTRAP);

/** Where the thread's runner sleeps in the kernel; undefined when it does not. */
export function sleepingPlace(thread: Thread): { nr: number; args: number[]; pc: number } | undefined {
  const { runner } = thread;
  const place = kernelPlace(thread.stub ? thread.generation.hostPid : thread.process.pid, runner.tid);
  // Outside a system call: in a page fault, on its way out for good, or in a stop that we have not heard of yet.
  return place?.asleep && place.nr >= 0 ? place : undefined;
}

/**
 * Arms the way out of the kernel for a thread that sleeps there, at home or in its stub.
 * @param moving the generation that it lives in from now on, if it is to move as it wakes up
 * @returns whether it is certain to be caught; otherwise it has woken up meanwhile
 */
export function catchSleeper(
  thread: Thread,
  onWaking: Waking,
  moving?: Generation,
): 'caught' | 'awake' | 'impossible' {
  const { runner, text, stub } = thread;
  if (thread.place.at !== 'home' && thread.place.at !== 'stub') return 'awake';
  const place = sleepingPlace(thread);
  const masks = signalMasks(runner.tid);
  if (!place || !masks) return 'awake';
  // It makes a task, which would be born where the thread has been: its event is on its way to us.
  if (MAKES_TASKS.has(place.nr) && !thread.vforkChild) return 'awake';
  // In a memory call's routine: out of it soon, and the gate is the same memory in all generations.
  if (place.pc >= GATE_START && place.pc < GATE_END) return 'awake';
  // A stub's dispositions are nobody's: what a hit does to them does not matter.
  const lost = hasSignal(masks.ignored, SIGTRAP) || (blocksTrap(masks) && hasSignal(masks.caught, SIGTRAP));
  if (!stub && lost) return 'impossible';
  const breakpoint = plant(text, place.pc);
  if (!breakpoint) return 'impossible';
  fallAsleep(thread, breakpoint, onWaking, moving);
  thread.trapBlocked = blocksTrap(masks);
  const again = sleepingPlace(thread);
  if (again && again.pc === place.pc) return 'caught';
  forgetSleeper(thread);
  return 'awake';
}

/** Expects a running thread at an address; `work` runs with it stopped there. @returns whether that is possible */
export function expectAt(thread: Thread, address: number, work: Request): boolean {
  const masks = signalMasks(thread.runner.tid);
  if (!masks || hasSignal(masks.ignored, SIGTRAP)) return false;
  if (blocksTrap(masks) && hasSignal(masks.caught, SIGTRAP)) return false;
  const breakpoint = plant(thread.text, address);
  if (!breakpoint) return false;
  breakpoint.visitors.set(thread, work);
  thread.trapBlocked = blocksTrap(masks);
  return true;
}

/** Nobody is expected any more. */
export function forgetVisits(space: Space): void {
  for (const text of space.generations.values()) {
    for (const breakpoint of [...text.breakpoints.values()]) {
      breakpoint.visitors.clear();
      release(breakpoint);
    }
  }
}

/** The sleeper is awake, or not to be caught any more. @returns what it was to do as it wakes up */
export function forgetSleeper(thread: Thread): Waking {
  const { place } = thread;
  const then = wakeUp(thread);
  if (place.at === 'asleep' && place.breakpoint) release(place.breakpoint);
  return then;
}

/**
 * Whether a sleeper at a stop is still where it was caught; otherwise it has slipped through while another thread
 * stepped over the breakpoint. Its runner's registers are fetched.
 */
export const stillCaught = ({ place, runner }: Thread): boolean =>
  place.at === 'asleep' &&
  runner.regs.signed('orig_rax') >= 0 &&
  (!place.breakpoint || runner.regs.get('rip') === place.breakpoint.address);

/** Of a thread that has ended. */
export function forgetThread(thread: Thread): void {
  for (const text of thread.process.space.generations.values()) {
    for (const breakpoint of [...text.breakpoints.values()]) {
      const expected = breakpoint.visitors.delete(thread);
      if (expected || breakpoint.sleepers.size === 0) release(breakpoint);
    }
  }
}

/** Whether the breakpoint that a task ran into has been taken away between its trap and our hearing of it. */
export function isStaleHit(task: Task, text: Generation, address: number): boolean {
  const SI_KERNEL = 0x80;
  if (!text.trapAddresses.has(address)) return false;
  const info = new Uint8Array(SIGINFO_SIZE);
  if (!getSiginfo(task.tid, info) || new DataView(info.buffer).getInt32(8, true) !== SI_KERNEL) return false;
  using memory = new ProcessMemory(task.tid);
  const byte = memory.read(address, 1)[0];
  return byte !== undefined && byte !== INT3;
}

/**
 * Whether a task at its interrupt stop has run into a breakpoint already: the kernel reports the interrupt
 * before the SIGTRAP that is pending (kernel/signal.c, get_signal), and rip is behind the int3.
 */
export function trapIsPending(thread: Thread): boolean {
  const { runner } = thread;
  const rip = runner.fetch().get('rip');
  if (!thread.text.trapAddresses.has(rip - 1)) return false;
  const masks = signalMasks(runner.tid);
  return masks !== undefined && hasSignal(masks.pending, SIGTRAP);
}

/** After a hit: the instruction pointer back onto the instruction, and SIGTRAP blocked as it was. */
export function unwindHit(task: Task, address: number, trapBlocked: boolean): void {
  task.fetch().set('rip', address);
  task.regs.set('orig_rax', -1);
  task.commit();
  if (!trapBlocked) return;
  const mask = new Uint8Array(SIGSET_SIZE);
  getSigmask(task.tid, mask);
  mask[0] = mask[0]! | (1 << (SIGTRAP - 1));
  setSigmask(task.tid, mask);
}
