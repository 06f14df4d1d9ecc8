/**
 * System calls that a thread's home makes for it while it lives elsewhere: what depends on who calls. The
 * home may block there, and a signal may end the call as it would natively.
 */
import { ProcessMemory } from '../linux/memory.js';
import { hasSignal, signalMasks } from '../linux/proc.js';
import * as ptrace from '../linux/ptrace.js';
import { SYS } from '../linux/syscall-numbers.js';
import {
  isGroupStop,
  isSignalStop,
  isSyscallStop,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_STOP,
  PTRACE_EVENT_VFORK,
  stopEvent,
  stopSignal,
} from '../linux/wait.js';
import { AtlasError } from '../errors/atlas-error.js';
import { EAGAIN } from '../linux/errno.js';
import { birthOf, ChildTid, separate, Untraced } from '../process/fork.js';
import { park, takeStub } from '../process/generation.js';
import { Hold, leaksEintr, wasAsleep } from '../process/hold.js';
import { atMarker } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import { addForked, adopt } from '../process/lifecycle.js';
import { moveOutStanding, moveOutTo, transplant } from '../process/migrate.js';
import type { Thread } from '../process/model.js';
import { postpone, stopParked } from '../process/parking.js';
import { enterCall, giveBack, leaveCall } from '../process/place.js';
import { deliver, giveVectorState, restoreInfo } from '../process/signals.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { endTurn, letGo, lockSpace, raiseStashed, serveHere, take } from '../process/turns.js';
import { TextCopy } from '../process/text.js';
import type { Registers } from '../x64/registers.js';

const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;
const CLONE_THREAD = 0x1_0000;

/** What to do with a task that the call makes, at its creator's event stop. */
type OnChild = (child: Task) => Steps<void>;

/**
 * Makes the call that the thread's stub stands before (its registers fetched), and ends it: the thread's
 * runner is left stopped behind the call, or at the first instruction of a signal handler.
 * @param onChild for calls that make a task
 * @returns the result, or undefined when a handler was entered instead
 */
export function* homeCall(
  kernel: Kernel,
  thread: Thread,
  nr: number,
  onChild?: OnChild,
): Steps<number | undefined> {
  thread.caller.assign(thread.stub!.regs);
  yield* stopParked(thread);
  aim(kernel, thread.home, thread.caller, nr);
  enterCall(thread, nr);
  thread.process.space.hold?.arrived(thread);
  // The call may take forever: what was asked of the thread on its way here need not wait for that.
  yield* serveHere(thread);
  return yield* performAtHome(kernel, thread, nr, onChild);
}

function* performAtHome(
  kernel: Kernel,
  thread: Thread,
  nr: number,
  onChild: OnChild | undefined,
): Steps<number | undefined> {
  const { home, caller } = thread;
  let signal = 0;
  // A signal that came while the home was being stopped must end the call's sleep.
  raiseStashed(thread);
  for (;;) {
    const wasHeld = isGroupStop(home.status);
    if (wasHeld) home.listen();
    else home.resume(signal);
    signal = 0;
    yield* home.nextStop();
    if (atMarker(home)) {
      const result = home.regs.signed('rdi');
      caller.set('rax', result);
      caller.set('orig_rax', -1);
      goOn(kernel, thread);
      return result;
    }
    if (isSignalStop(home.status)) {
      signal = stopSignal(home.status);
      restoreInfo(thread, signal);
      const masks = signalMasks(home.tid);
      home.fetch();
      if (masks && hasSignal(masks.caught, signal)) {
        callerState(kernel, home.regs, caller, nr);
        // The call is over; who wants to move the thread waits until it stands at the handler.
        const { vectors, next } = leaveCall(thread);
        yield* deliver(kernel, thread, signal, caller, vectors);
        // It was moved while the home was inside the call: the handler runs where the thread lives now.
        if (next) moveOutStanding(kernel, thread, thread.generation, next);
        return undefined;
      }
      // Ignored, stopping or deadly: the kernel does it, and restarts the call; except for those that leak.
      if (leaksEintr(home.regs)) aim(kernel, home, caller, nr);
      continue;
    }
    const event = stopEvent(home.status);
    // An interrupt that was owed. A stop by job control interrupts natively, too.
    if (event === PTRACE_EVENT_STOP && !wasHeld && !isGroupStop(home.status)) wasAsleep((home.fetch(), home));
    if (
      (event === PTRACE_EVENT_FORK || event === PTRACE_EVENT_VFORK || event === PTRACE_EVENT_CLONE) &&
      onChild
    ) {
      yield* onChild(kernel.task(ptrace.eventMessage(home.tid)));
    }
  }
}

/** The call is over, the home at the marker: the thread goes on where it lives now. */
function goOn(kernel: Kernel, thread: Thread): void {
  const { home, caller } = thread;
  const { vectors, next } = leaveCall(thread);
  const { stub } = thread;
  if (stub) {
    stub.regs.assign(caller);
    stub.commit();
    park(kernel, home);
    return;
  }
  home.regs.assign(caller);
  home.commit();
  giveVectorState(kernel, thread, home, vectors);
  if (next) moveOutStanding(kernel, thread, thread.generation, next);
}

/** The caller's registers, at the gate: arguments, and the stack that some calls look at, are the caller's. */
function aim(kernel: Kernel, home: Task, caller: Registers, nr: number): void {
  home.regs.assign(caller);
  home.regs.set('rip', kernel.gate.call);
  home.regs.set('rax', nr);
  home.regs.set('orig_rax', -1);
  home.commit();
}

/**
 * The state in which the caller would be interrupted natively: before the call, inside it with the result
 * that asks for a restart, or behind it.
 * @param home where the signal found the home, inside the gate
 */
function callerState(kernel: Kernel, home: Registers, caller: Registers, nr: number): void {
  const at = home.get('rip') - kernel.gate.call;
  if (at === 0) {
    caller.set('rip', caller.get('rip') - 2);
    caller.set('rax', nr);
    caller.set('orig_rax', -1);
  } else if (at === 2) {
    caller.copy('rax', home);
    caller.copy('orig_rax', home);
  } else {
    caller.copy('rax', home, 'rdi');
    caller.set('orig_rax', -1);
  }
}

/** The frame's registers, mask and alternate stack are restored at home, and the registers moved on. */
export function* homeSigreturn(kernel: Kernel, thread: Thread): Steps<void> {
  const { home } = thread;
  const stub = thread.stub!;
  yield* stopParked(thread);
  transplant(kernel, stub, home);
  aim(kernel, home, stub.regs, SYS.rt_sigreturn);
  let other = 0;
  for (let stops = 0; stops < 2; ) {
    if (isGroupStop(home.status)) home.listen();
    else home.resumeToSyscall(other);
    other = 0;
    yield* home.nextStop();
    if (isSyscallStop(home.status)) stops++;
    else if (isSignalStop(home.status)) other = postpone(thread);
  }
  home.fetch();
  transplant(kernel, home, stub);
  yield* takePending(kernel, thread);
}

/**
 * What the restored mask lets through comes before the thread's next instruction: the home makes a call
 * that does nothing, and signals are delivered on its way to it.
 */
export function* takePending(kernel: Kernel, thread: Thread): Steps<void> {
  const { home } = thread;
  const { regs } = thread.stub!;
  aim(kernel, home, regs, SYS.getpid);
  raiseStashed(thread);
  let signal = 0;
  for (;;) {
    if (isGroupStop(home.status)) home.listen();
    else home.resume(signal);
    signal = 0;
    yield* home.nextStop();
    if (atMarker(home)) {
      park(kernel, home);
      return;
    }
    if (!isSignalStop(home.status)) continue;
    signal = stopSignal(home.status);
    restoreInfo(thread, signal);
    const masks = signalMasks(home.tid);
    if (!masks || !hasSignal(masks.caught, signal)) continue;
    yield* deliver(kernel, thread, signal, regs);
    return;
  }
}

/** A clone by a thread that lives elsewhere: the child continues its creator's code in its creator's generation. */
export function* childOfStub(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const stub = thread.stub!;
  const { process } = thread;
  const untraced = new Untraced(stub.regs, nr, thread.home.tid);
  const { flags, stack } = cloneArguments(stub, nr);
  if (flags & CLONE_THREAD) {
    yield* threadOfStub(kernel, thread, nr, untraced, stack);
    return;
  }
  if (flags & CLONE_VM) {
    yield* homeCall(kernel, thread, nr, function* (child): Steps<void> {
      untraced.undo(thread.caller);
      yield* birthOf(child);
      continueAs(kernel, thread, child, stack);
      const born = adopt(kernel, thread, child);
      if (flags & CLONE_VFORK) thread.vforkChild = born.process;
      letGo(born);
    });
    thread.vforkChild = undefined;
    return;
  }
  using _lock = yield* lockSpace(thread);
  const hold = new Hold(kernel, process.space, letGo);
  yield* hold.stop(thread);
  try {
    using memory = new ProcessMemory(thread.home.tid);
    using text = new TextCopy(process.space.base);
    const tid = new ChildTid(stub.regs, nr, memory);
    yield* homeCall(kernel, thread, nr, function* (child): Steps<void> {
      tid.undo(thread.caller, memory);
      untraced.undo(thread.caller);
      yield* birthOf(child);
      continueAs(kernel, thread, child, stack);
      const space = yield* separate(kernel, process, child, thread.generation, text);
      tid.write(child, space.store);
      letGo(addForked(kernel, thread, child, space));
    });
  } finally {
    hold.release();
  }
}

/**
 * A new thread, born where its creator lives. The stub that it will run in is made first: what the kernel
 * refuses to us it refuses to the program, as it would natively at the limit of tasks.
 */
function* threadOfStub(
  kernel: Kernel,
  thread: Thread,
  nr: number,
  untraced: Untraced,
  stack: number,
): Steps<void> {
  const { generation } = thread;
  const caller = thread.stub!;
  let own: Task;
  try {
    own = yield* takeStub(kernel, generation);
  } catch (error) {
    if (!(error instanceof AtlasError)) throw error;
    kernel.emit('thread-refused', { tid: thread.tid, reason: error.message });
    untraced.undo(caller.regs);
    caller.regs.set('rax', -EAGAIN);
    caller.regs.set('orig_rax', -1);
    caller.commit();
    return;
  }
  let used = false;
  try {
    yield* homeCall(kernel, thread, nr, function* (child): Steps<void> {
      untraced.undo(thread.caller);
      yield* birthOf(child);
      continueAs(kernel, thread, child, stack);
      const born = adopt(kernel, thread, child);
      used = true;
      take(born);
      moveOutTo(kernel, born, generation, own);
      endTurn(born);
    });
  } finally {
    if (!used) giveBack(generation, own);
  }
}

/** Flags and the child's stack pointer (0: the creator's own). */
function cloneArguments(stub: Task, nr: number): { flags: number; stack: number } {
  const { regs } = stub;
  if (nr === SYS.fork) return { flags: 0, stack: 0 };
  if (nr === SYS.vfork) return { flags: CLONE_VM | CLONE_VFORK, stack: 0 };
  if (nr === SYS.clone) return { flags: regs.get('rdi') % 2 ** 32, stack: regs.get('rsi') };
  // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
  using memory = new ProcessMemory(stub.tid);
  const bytes = memory.read(regs.get('rdi'), 64);
  if (bytes.length < 64) return { flags: CLONE_VM, stack: 0 };
  const view = new DataView(bytes.buffer);
  const stack = Number(view.getBigUint64(40, true));
  return {
    flags: view.getUint32(0, true),
    stack: stack === 0 ? 0 : stack + Number(view.getBigUint64(48, true)),
  };
}

/** The newborn has the home's registers, at the gate: it gets those of the caller, behind its call. */
function continueAs(kernel: Kernel, thread: Thread, child: Task, stack: number): void {
  const { regs } = child;
  const fsBase = child.fetch().get('fs_base');
  regs.assign(thread.caller);
  regs.set('rax', 0);
  regs.set('orig_rax', -1);
  regs.set('fs_base', fsBase);
  if (stack !== 0) regs.set('rsp', stack);
  child.commit();
  const { place } = thread;
  giveVectorState(kernel, thread, child, place.at === 'call' ? place.vectors : undefined);
}
