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
  PTRACE_EVENT_VFORK,
  stopEvent,
  stopSignal,
} from '../linux/wait.js';
import { birthOf, ChildTid, separate } from '../process/fork.js';
import { park } from '../process/generation.js';
import { Hold, leaksEintr } from '../process/hold.js';
import { atMarker } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import { addProcess, adopt } from '../process/lifecycle.js';
import { moveOut, transplant } from '../process/migrate.js';
import type { Thread } from '../process/model.js';
import { postpone, stopParked } from '../process/parking.js';
import { deliver, giveVectorState, restoreInfo } from '../process/signals.js';
import type { Steps } from '../process/steps.js';
import type { Task } from '../process/task.js';
import { endTurn, letGo, lockSpace, raiseStashed, serveHere } from '../process/turns.js';
import type { Registers } from '../x64/registers.js';

const CLONE_VM = 0x100;

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
  aim(kernel, thread, nr);
  thread.inHomeCall = true;
  thread.process.hold?.arrived(thread);
  try {
    // The call may take forever: what was asked of the thread on its way here need not wait for that.
    yield* serveHere(thread);
    return yield* performAtHome(kernel, thread, nr, onChild);
  } finally {
    thread.inHomeCall = false;
  }
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
    if (isGroupStop(home.status)) home.listen();
    else home.resume(signal);
    signal = 0;
    yield* home.nextStop();
    if (atMarker(home)) {
      const result = home.regs.signed('rdi');
      caller.set('rax', result);
      caller.set('orig_rax', -1);
      yield* goOn(kernel, thread);
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
        thread.inHomeCall = false;
        yield* deliver(kernel, thread, signal);
        // It was moved while the home was inside the call: the handler runs where the thread lives now.
        if (!thread.stub && thread.generation.agent) yield* moveOut(kernel, thread, thread.generation);
        return undefined;
      }
      // Ignored, stopping or deadly: the kernel does it, and restarts the call; except for those that leak.
      if (leaksEintr(home.regs)) aim(kernel, thread, nr);
      continue;
    }
    const event = stopEvent(home.status);
    if (
      (event === PTRACE_EVENT_FORK || event === PTRACE_EVENT_VFORK || event === PTRACE_EVENT_CLONE) &&
      onChild
    ) {
      yield* onChild(kernel.task(ptrace.eventMessage(home.tid)));
    }
  }
}

/** The call is over, the home at the marker: the thread goes on where it lives now. */
function* goOn(kernel: Kernel, thread: Thread): Steps<void> {
  const { home, stub, caller } = thread;
  if (stub) {
    stub.regs.assign(caller);
    stub.commit();
    park(kernel, home);
    return;
  }
  home.regs.assign(caller);
  home.commit();
  giveVectorState(kernel, thread, home);
  if (thread.generation.agent) yield* moveOut(kernel, thread, thread.generation);
}

/** The caller's registers, at the gate: arguments, and the stack that some calls look at, are the caller's. */
function aim(kernel: Kernel, thread: Thread, nr: number): void {
  const { home } = thread;
  home.regs.assign(thread.caller);
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
  thread.caller.assign(stub.regs);
  transplant(kernel, stub, home);
  aim(kernel, thread, SYS.rt_sigreturn);
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
  thread.caller.assign(thread.stub!.regs);
  aim(kernel, thread, SYS.getpid);
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
    yield* deliver(kernel, thread, signal);
    return;
  }
}

/** A clone by a thread that lives elsewhere: the child continues its creator's code in its creator's generation. */
export function* childOfStub(kernel: Kernel, thread: Thread, nr: number): Steps<void> {
  const stub = thread.stub!;
  const { process } = thread;
  const { flags, stack } = cloneArguments(stub, nr);
  if (flags & CLONE_VM) {
    let born: Thread | undefined;
    yield* homeCall(kernel, thread, nr, function* (child): Steps<void> {
      yield* birthOf(child);
      continueAs(kernel, thread, child, stack);
      born = adopt(kernel, thread, child);
      if (born.process === process && thread.generation.agent) {
        born.busy = true;
        yield* moveOut(kernel, born, thread.generation);
        endTurn(born);
      } else letGo(born);
    });
    return;
  }
  using _lock = yield* lockSpace(thread);
  const hold = new Hold(kernel, process, letGo);
  yield* hold.stop(thread);
  try {
    using memory = new ProcessMemory(thread.home.tid);
    const tid = new ChildTid(stub.regs, nr, memory);
    yield* homeCall(kernel, thread, nr, function* (child): Steps<void> {
      tid.undo(thread.caller, memory);
      yield* birthOf(child);
      continueAs(kernel, thread, child, stack);
      const space = yield* separate(kernel, process, child, thread.generation);
      tid.write(child, space.store);
      letGo(addProcess(kernel, child, space, process));
    });
  } finally {
    hold.release();
  }
}

/** Flags and the child's stack pointer (0: the creator's own). */
function cloneArguments(stub: Task, nr: number): { flags: number; stack: number } {
  const { regs } = stub;
  if (nr === SYS.fork) return { flags: 0, stack: 0 };
  if (nr === SYS.vfork) return { flags: CLONE_VM, stack: 0 };
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
  const own = thread.callerXstate;
  giveVectorState(kernel, thread, child);
  // The caller itself still needs it.
  thread.callerXstate = own;
}
