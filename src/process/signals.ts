/**
 * Signals. All of a thread's signal state belongs to its home: mask, pending signals, dispositions, alternate
 * stack. For a thread that lives elsewhere the registers come home for the delivery: the kernel builds the
 * handler's frame on the shared stack, with the restart of an interrupted call decided as always, and
 * PTRACE_SINGLESTEP stops the home before the handler's first instruction (kernel/signal.c,
 * signal_delivered). From there the thread goes on in its generation.
 */
import { ENOSYS, isError, isRestart } from '../linux/errno.js';
import { c } from '../linux/ffi.js';
import { ProcessMemory } from '../linux/memory.js';
import { hasSignal, readMaps, signalMasks } from '../linux/proc.js';
import * as ptrace from '../linux/ptrace.js';
import { isSynchronous, SIGBUS, SIGCONT, SIGSEGV, SIGTRAP } from '../linux/signals.js';
import { SYS } from '../linux/syscall-numbers.js';
import {
  isGroupStop,
  isSeccompStop,
  isSignalStop,
  PTRACE_EVENT_STOP,
  stopEvent,
  stopSignal,
} from '../linux/wait.js';
import { GATE_FREE_END, GATE_LISTS, GATE_START } from '../x64/gate.js';
import { forgetSleeper, isStaleHit, stillCaught, unwindHit } from './breakpoints.js';
import { park } from './generation.js';
import { leaksEintr, windBack } from './hold.js';
import { borrow } from './inject.js';
import type { Kernel } from './kernel.js';
import { moveOutTo, transplant } from './migrate.js';
import type { Breakpoint, Request, Thread } from './model.js';
import { postpone, stopParked } from './parking.js';
import type { Waking } from './place.js';
import { raisedSignal } from './raised.js';
import { stepOver } from './step-over.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';
import { type Deliver, letGo, lockSpace, occupy } from './turns.js';
import type { Registers } from '../x64/registers.js';

/** Longer than any of the gate's routines. */
const MOST_STEPS = 400;
/** Default action "ignore" (signal(7)): SIGCHLD, SIGCONT, SIGURG, SIGWINCH. */
const IGNORED_BY_DEFAULT: ReadonlySet<number> = new Set([17, SIGCONT, 23, 28]);

/** Puts back the siginfo of a signal that we sent again. */
export function restoreInfo(thread: Thread, signal: number): void {
  const index = thread.reraised.findIndex((stashed) => stashed.signal === signal);
  if (index < 0) return;
  const [stashed] = thread.reraised.splice(index, 1);
  ptrace.setSiginfo(thread.home.tid, stashed!.info);
}

const isCaught = (thread: Thread, signal: number): boolean => {
  const masks = signalMasks(thread.tid);
  return masks !== undefined && hasSignal(masks.caught, signal);
};

const isIgnored = (thread: Thread, signal: number): boolean => {
  const masks = signalMasks(thread.tid);
  if (!masks) return false;
  return (
    hasSignal(masks.ignored, signal) || (IGNORED_BY_DEFAULT.has(signal) && !hasSignal(masks.caught, signal))
  );
};

/** Whether the fault was raised by the kernel and not sent by a program (sigaction(2), si_code). */
export function isKernelsOwn(task: Task): boolean {
  const info = new DataView(new ArrayBuffer(ptrace.SIGINFO_SIZE));
  ptrace.getSiginfo(task.tid, new Uint8Array(info.buffer));
  return info.getInt32(8, true) > 0;
}

/** A fault may be the program's own, or ours: the log says where it was. */
function reportFault(kernel: Kernel, thread: Thread, task: Task, signal: number): void {
  const rip = task.regs.get('rip');
  using memory = new ProcessMemory(task.tid);
  const info = new DataView(new ArrayBuffer(ptrace.SIGINFO_SIZE));
  ptrace.getSiginfo(task.tid, new Uint8Array(info.buffer));
  kernel.emit('fault', {
    siCode: info.getInt32(8, true),
    siAddress: `0x${info.getBigUint64(16, true).toString(16)}`,
    rsp: `0x${task.regs.get('rsp').toString(16)}`,
    tid: thread.tid,
    task: task.tid,
    signal,
    generation: thread.generation.id,
    rip: `0x${rip.toString(16)}`,
    code: Buffer.from(memory.read(rip - 8, 24)).toString('hex'),
    area: readMaps(task.tid).find((area) => area.start <= rip && rip < area.end),
  });
}

/**
 * For the SIGTRAP stop of a thread's runner.
 * @returns whether it ran into a breakpoint of ours; then it goes on as that says
 */
export function hitBreakpoint(kernel: Kernel, thread: Thread): boolean {
  const { runner, text, place } = thread;
  const address = runner.fetch().get('rip') - 1;
  const breakpoint = text.breakpoints.get(address);
  if (!breakpoint && !isStaleHit(runner, text, address)) return false;
  const visit = breakpoint?.visitors.get(thread);
  const expected = !breakpoint || visit !== undefined || place.at === 'asleep';
  unwindHit(runner, address, runner !== thread.home || (expected && thread.trapBlocked));
  if (expected) thread.trapBlocked = false;
  if (place.at === 'asleep') wakeUpAt(kernel, thread);
  else if (!breakpoint) letGo(thread);
  else if (visit) occupy(kernel, thread, 'return', welcome(thread, breakpoint, visit));
  else occupy(kernel, thread, 'breakpoint', stepOver(thread, breakpoint));
  return true;
}

/** A sleeper is awake, its runner stopped at a plain place. */
export function wakeUpAt(kernel: Kernel, thread: Thread): void {
  const then = forgetSleeper(thread);
  if (then.kind === 'stays') letGo(thread);
  else occupy(kernel, thread, 'waking', goOnAs(kernel, thread, then));
}

/** A system-call stop of a thread's runner: of a sleeper that is caught by its call's end, at the entry or at the end. */
export function atCallsEnd(kernel: Kernel, thread: Thread): void {
  const result = thread.runner.fetch().signed('rax');
  // At the entry rax is -ENOSYS (arch/x86/entry/entry_64.S); before a handler, or a restart, it is no result yet.
  if (thread.place.at !== 'asleep' || result === -ENOSYS || isRestart(result)) letGo(thread);
  else wakeUpAt(kernel, thread);
}

/** What a sleeper does that has woken up, and stands stopped at a plain place. */
function* goOnAs(kernel: Kernel, thread: Thread, then: Waking): Steps<void> {
  if (then.kind === 'moves') moveOutTo(kernel, thread, thread.generation, then.stub);
  else if (then.kind === 'does') yield* then.work(thread);
}

/** A signal-delivery stop of a thread that lives at home. */
export function homeSignal(kernel: Kernel, thread: Thread, signal: number): void {
  const { home } = thread;
  if (signal === SIGTRAP && hitBreakpoint(kernel, thread)) return;
  const rip = home.fetch().get('rip');
  if (rip === kernel.gate.zeroing && (signal === SIGSEGV || signal === SIGBUS) && isKernelsOwn(home)) {
    home.regs.set('rip', kernel.gate.recyclingFailed);
    home.commit();
    letGo(thread);
    return;
  }
  if (isSynchronous(signal)) reportFault(kernel, thread, thread.home, signal);
  restoreInfo(thread, signal);
  if (rip >= GATE_START && rip < GATE_FREE_END) {
    occupy(kernel, thread, 'signal in the gate', leaveGate(kernel, thread, signal));
    return;
  }
  // Ignored signals reach a traced task, and would end a wait that they do not end natively.
  if (leaksEintr(home.regs) && isIgnored(thread, signal)) {
    windBack(home);
    letGo(thread);
    return;
  }
  if (thread.place.at === 'asleep' && isCaught(thread, signal)) {
    occupy(kernel, thread, 'waking signal', wakeBySignal(kernel, thread, signal));
    return;
  }
  // Slipped through: what it was caught for is made good at the next stop, before it runs.
  if (thread.place.at === 'asleep' && !stillCaught(thread)) home.interrupt();
  letGo(thread, signal);
}

/** A thread has come to where it was expected; if it stays where it was, it goes on past the breakpoint. */
function* welcome(thread: Thread, breakpoint: Breakpoint, visit: Request): Steps<void> {
  const { text } = thread;
  yield* visit(thread);
  if (thread.text === text) yield* stepOver(thread, breakpoint);
}

/** A sleeper is woken by a handler: what it was to do as it wakes up, it does before the handler. */
function* wakeBySignal(kernel: Kernel, thread: Thread, signal: number): Steps<void> {
  const then = forgetSleeper(thread);
  yield* enterHandler(thread, signal);
  yield* goOnAs(kernel, thread, then);
}

/** From its signal-delivery stop, takes the home to the first instruction of the handler. */
function* enterHandler(thread: Thread, signal: number): Steps<void> {
  const { home } = thread;
  home.step(signal);
  for (;;) {
    yield* home.nextStop();
    if (isSignalStop(home.status) && stopSignal(home.status) === SIGTRAP) break;
    if (isSignalStop(home.status)) home.step(postpone(thread));
    else if (isGroupStop(home.status)) home.listen();
    else home.step();
  }
  home.fetch();
}

/**
 * A memory routine is short and must not be left by a handler's longjmp: it is stepped to its end first.
 * The signal is delivered from the last step's stop, with its own siginfo.
 */
function* leaveGate(kernel: Kernel, thread: Thread, signal: number): Steps<Deliver> {
  const { home } = thread;
  const info = new Uint8Array(ptrace.SIGINFO_SIZE);
  ptrace.getSiginfo(home.tid, info);
  const mask = new Uint8Array(ptrace.SIGSET_SIZE);
  ptrace.getSigmask(home.tid, mask);
  // Not SIGTRAP: a blocked one that a step raises loses its handler (kernel/signal.c, force_sig).
  const stepping = new Uint8Array(ptrace.SIGSET_SIZE).fill(0xff);
  stepping[0] = 0xff & ~(1 << (SIGTRAP - 1));
  ptrace.setSigmask(home.tid, stepping);
  const { regs } = home;
  const rip = regs.get('rip');
  const loop = kernel.gate.loops.find(({ start, end }) => rip >= start && rip < end);
  if (loop) {
    regs.set('rip', loop.givenUp);
    home.commit();
  }
  let other = 0;
  for (let steps = 0; ; steps++) {
    if (steps > MOST_STEPS) throw new Error(`task ${home.tid} does not leave the gate`);
    if (isGroupStop(home.status)) home.listen();
    else home.step(other);
    other = 0;
    yield* home.nextStop();
    if (isSignalStop(home.status) && stopSignal(home.status) !== SIGTRAP) {
      other = postpone(thread);
      continue;
    }
    const at = home.fetch().get('rip');
    if (isSignalStop(home.status) && (at < GATE_START || at >= GATE_FREE_END)) break;
  }
  ptrace.setSigmask(home.tid, mask);
  ptrace.setSiginfo(home.tid, info);
  return { signal };
}

/** A stop of a home whose thread is elsewhere or being worked on, that nobody waited for. */
export function parkedStopped(kernel: Kernel, thread: Thread): void {
  const { home } = thread;
  if (isGroupStop(home.status)) {
    home.listen();
    if (thread.stub && !thread.busy && !thread.held) occupy(kernel, thread, 'group-stop', holdStub(thread));
    return;
  }
  if (!isSignalStop(home.status)) {
    home.resume();
    return;
  }
  if (thread.busy || !thread.stub) {
    home.resume(postpone(thread));
    return;
  }
  const signal = stopSignal(home.status);
  restoreInfo(thread, signal);
  if (isCaught(thread, signal)) occupy(kernel, thread, 'signal', deliverToStub(kernel, thread, signal));
  else home.resume(signal);
}

/** The process is stopped (SIGSTOP, ^Z): its thread's code must not run elsewhere either. */
function* holdStub(thread: Thread): Steps<void> {
  const { home } = thread;
  const stub = thread.stub!;
  yield* stopStub(thread);
  stub.fetch();
  if (leaksEintr(stub.regs)) windBack(stub);
  thread.held = true;
  thread.process.space.hold?.arrived(thread);
  do {
    yield* home.nextStop();
    if (isGroupStop(home.status)) home.listen();
  } while (isGroupStop(home.status));
  thread.held = false;
  home.resume(isSignalStop(home.status) ? postpone(thread) : 0);
}

/**
 * Brings the running stub to a stop, at whatever stop comes first; a call it stands before is wound back, and so is
 * a breakpoint that it has run into.
 */
export function* stopStub(thread: Thread): Steps<void> {
  const stub = thread.stub!;
  if (!stub.stopped) {
    stub.interrupt();
    yield* stub.nextStop();
  }
  stub.fetch();
  if (isSeccompStop(stub.status)) windBack(stub);
  else if (isSignalStop(stub.status) && stopSignal(stub.status) === SIGTRAP) {
    const address = stub.regs.get('rip') - 1;
    if (thread.text.breakpoints.has(address) || isStaleHit(stub, thread.text, address))
      unwindHit(stub, address, true);
  }
  const raised = raisedSignal(thread);
  if (raised) thread.stashedSignals.push(raised);
}

/** The home is at the signal's delivery stop; the handler starts in the thread's generation. */
function* deliverToStub(kernel: Kernel, thread: Thread, signal: number): Steps<void> {
  yield* stopStub(thread);
  const then: Waking = thread.place.at === 'asleep' ? forgetSleeper(thread) : { kind: 'stays' };
  yield* deliver(kernel, thread, signal, thread.stub!.regs);
  yield* goOnAs(kernel, thread, then);
}

/**
 * Enters the handler. The home is at the delivery stop; the stub, if the thread has one, is stopped, and stands at
 * the handler's first instruction afterwards; else the home does.
 * @param state the thread's registers
 * @param vectors its vector state, when there is no stub that has it
 */
export function* deliver(
  kernel: Kernel,
  thread: Thread,
  signal: number,
  state: Registers,
  vectors?: Uint8Array,
): Steps<void> {
  const { home } = thread;
  home.regs.assign(state);
  home.commit();
  giveVectorState(kernel, thread, home, vectors);
  yield* enterHandler(thread, signal);
  if (!thread.stub) return;
  transplant(kernel, home, thread.stub);
  park(kernel, home);
}

/** The thread's vector state, from where it was kept or else from its stub, to `task`. */
export function giveVectorState(kernel: Kernel, thread: Thread, task: Task, vectors?: Uint8Array): void {
  if (vectors) {
    kernel.xstate.bytes.set(vectors);
    kernel.xstate.length = vectors.length;
    ptrace.setXstate(task.tid, kernel.xstate);
  } else if (thread.stub && ptrace.getXstate(thread.stub.tid, kernel.xstate) > 0)
    ptrace.setXstate(task.tid, kernel.xstate);
}

/** An instruction in the stub faulted: the signal is the home's, with the fault's own siginfo. */
export function* deliverFault(kernel: Kernel, thread: Thread): Steps<void> {
  const { home } = thread;
  const stub = thread.stub!;
  const signal = stopSignal(stub.status);
  const info = new Uint8Array(ptrace.SIGINFO_SIZE);
  ptrace.getSiginfo(stub.tid, info);
  stub.fetch().set('orig_rax', -1);
  reportFault(kernel, thread, stub, signal);
  yield* stopParked(thread);
  const masks = signalMasks(home.tid);
  if (masks && (hasSignal(masks.blocked, signal) || hasSignal(masks.ignored, signal)))
    yield* resetDisposition(kernel, thread, signal);
  transplant(kernel, stub, home);
  c.syscall3(SYS.tgkill, thread.process.pid, thread.tid, signal);
  for (let other = 0; ; ) {
    if (isGroupStop(home.status)) home.listen();
    else home.resume(other);
    other = 0;
    yield* home.nextStop();
    if (isSignalStop(home.status)) {
      if (stopSignal(home.status) === signal) break;
      other = postpone(thread);
    } else if (stopEvent(home.status) !== PTRACE_EVENT_STOP) break;
  }
  ptrace.setSiginfo(home.tid, info);
  yield* deliver(kernel, thread, signal, stub.regs);
}

/** A blocked or ignored fault kills (kernel/signal.c, force_sig_info_to_task). */
function* resetDisposition(kernel: Kernel, thread: Thread, signal: number): Steps<void> {
  const { home } = thread;
  // The lists are the lock holder's.
  using _lock = yield* lockSpace(thread);
  yield* borrow(kernel, home, function* (scope) {
    thread.process.space.store.write(GATE_LISTS, new Uint8Array(32));
    const result = yield* scope.call(SYS.rt_sigaction, signal, GATE_LISTS, 0, ptrace.SIGSET_SIZE);
    if (isError(result)) throw new Error(`resetting the disposition of signal ${signal}: errno ${-result}`);
  });
  const mask = new Uint8Array(ptrace.SIGSET_SIZE);
  ptrace.getSigmask(home.tid, mask);
  mask[(signal - 1) >> 3] = mask[(signal - 1) >> 3]! & ~(1 << ((signal - 1) & 7));
  ptrace.setSigmask(home.tid, mask);
}
