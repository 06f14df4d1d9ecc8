/**
 * Breakpoints in the base's text. A thread that sleeps in the kernel cannot run an instruction of the base
 * before it comes out at the address behind its `syscall`: a breakpoint there catches it, and its sleep is
 * not disturbed. Text is a private mapping, so the byte is in the base only.
 */
import { ProcessMemory } from '../linux/memory.js';
import { hasSignal, kernelPlace, type SignalMasks, signalMasks } from '../linux/proc.js';
import { getSiginfo, getSigmask, setSigmask, SIGINFO_SIZE, SIGSET_SIZE } from '../linux/ptrace.js';
import { SIGTRAP } from '../linux/signals.js';
import { GATE_END, GATE_START } from '../x64/gate.js';
import type { Breakpoint, Request, Space, Thread } from './model.js';

const INT3 = 0xcc;

export function plant(space: Space, address: number): Breakpoint {
  const present = space.breakpoints.get(address);
  if (present) return present;
  using memory = new ProcessMemory(space.hostPid);
  const original = memory.read(address, 1)[0];
  if (original === undefined || !memory.write(address, Uint8Array.of(INT3))) {
    throw new Error(`no breakpoint can be set at 0x${address.toString(16)}`);
  }
  const breakpoint: Breakpoint = { address, original, sleepers: new Set(), visitors: new Map(), stepping: 0 };
  space.breakpoints.set(address, breakpoint);
  space.trapAddresses.add(address);
  return breakpoint;
}

/** Takes the byte away again when nobody needs it. */
export function release(space: Space, breakpoint: Breakpoint): void {
  if (
    breakpoint.sleepers.size > 0 ||
    breakpoint.visitors.size > 0 ||
    space.breakpoints.get(breakpoint.address) !== breakpoint
  )
    return;
  space.breakpoints.delete(breakpoint.address);
  using memory = new ProcessMemory(space.hostPid);
  memory.write(breakpoint.address, Uint8Array.of(breakpoint.original));
}

/** What of SIGTRAP's state the kernel overwrites when a breakpoint hits while SIGTRAP is blocked (force_sig). */
const blocksTrap = (masks: SignalMasks): boolean => hasSignal(masks.blocked, SIGTRAP);

/**
 * Arms the way out of the kernel for a thread that sleeps there.
 * @returns whether it is certain to be caught; otherwise it has woken up meanwhile
 */
export function catchSleeper(thread: Thread): 'caught' | 'awake' | 'impossible' {
  const { space, pid } = thread.process;
  const place = kernelPlace(pid, thread.tid);
  const masks = signalMasks(thread.tid);
  // Outside a system call: in a page fault, on its way out for good, or in a stop that we have not heard of yet.
  if (!place?.asleep || place.nr < 0 || !masks) return 'awake';
  // In a memory call's routine: out of it soon, and the gate is the same memory in all generations.
  if (place.pc >= GATE_START && place.pc < GATE_END) return 'awake';
  if (hasSignal(masks.ignored, SIGTRAP) || (blocksTrap(masks) && hasSignal(masks.caught, SIGTRAP)))
    return 'impossible';
  const breakpoint = plant(space, place.pc);
  breakpoint.sleepers.add(thread);
  const again = kernelPlace(pid, thread.tid);
  if (!again?.asleep || again.pc !== place.pc) {
    breakpoint.sleepers.delete(thread);
    release(space, breakpoint);
    return 'awake';
  }
  thread.caughtAt = breakpoint;
  thread.trapBlocked = blocksTrap(masks);
  return 'caught';
}

/** Expects a running thread at an address; `visit` runs with it stopped there. @returns whether that is possible */
export function expectAt(thread: Thread, address: number, visit: Request): boolean {
  const masks = signalMasks(thread.tid);
  if (!masks || hasSignal(masks.ignored, SIGTRAP)) return false;
  if (blocksTrap(masks) && hasSignal(masks.caught, SIGTRAP)) return false;
  plant(thread.process.space, address).visitors.set(thread, visit);
  thread.trapBlocked = blocksTrap(masks);
  return true;
}

/** Nobody is expected any more. */
export function forgetVisits(space: Space): void {
  for (const breakpoint of [...space.breakpoints.values()]) {
    breakpoint.visitors.clear();
    release(space, breakpoint);
  }
}

export function letSleeperGo(thread: Thread): void {
  const breakpoint = thread.caughtAt;
  if (!breakpoint) return;
  thread.caughtAt = undefined;
  breakpoint.sleepers.delete(thread);
  release(thread.process.space, breakpoint);
}

/** Whether the breakpoint that a task ran into has been taken away between its trap and our hearing of it. */
export function isStaleHit(thread: Thread, address: number): boolean {
  const SI_KERNEL = 0x80;
  const info = new Uint8Array(SIGINFO_SIZE);
  if (!getSiginfo(thread.home.tid, info) || new DataView(info.buffer).getInt32(8, true) !== SI_KERNEL)
    return false;
  using memory = new ProcessMemory(thread.home.tid);
  const byte = memory.read(address, 1)[0];
  return byte !== undefined && byte !== INT3;
}

/**
 * Whether a home at its interrupt stop has run into a breakpoint already: the kernel reports the interrupt
 * before the SIGTRAP that is pending (kernel/signal.c, get_signal), and rip is behind the int3.
 */
export function trapIsPending(thread: Thread): boolean {
  const rip = thread.home.fetch().get('rip');
  if (!thread.process.space.trapAddresses.has(rip - 1)) return false;
  const masks = signalMasks(thread.tid);
  return masks !== undefined && hasSignal(masks.pending, SIGTRAP);
}

/** After a hit: the instruction pointer back onto the instruction, and SIGTRAP blocked as it was. */
export function unwindHit(thread: Thread, address: number): void {
  const { home } = thread;
  home.fetch().set('rip', address);
  home.regs.set('orig_rax', -1);
  home.commit();
  if (!thread.trapBlocked) return;
  const mask = new Uint8Array(SIGSET_SIZE);
  getSigmask(home.tid, mask);
  mask[0] = mask[0]! | (1 << (SIGTRAP - 1));
  setSigmask(home.tid, mask);
  thread.trapBlocked = false;
}
