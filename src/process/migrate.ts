/**
 * Moving one thread's execution from its home to a stub, between stubs, and home again. Only the thread's
 * own tasks are involved: nobody else stops.
 */
import * as ptrace from '../linux/ptrace.js';
import type { Kernel } from './kernel.js';
import { park } from './generation.js';
import type { Generation, Thread } from './model.js';
import { stopParked } from './parking.js';
import { changeStub, comeHome, leaveHome } from './place.js';
import { setOff } from './turns.js';
import type { Steps } from './steps.js';
import type { Task } from './task.js';

/** Copies the user-mode state; `orig_rax` is cleared, so that no system call is restarted in the other task. */
export function transplant(kernel: Kernel, from: Task, to: Task): void {
  to.regs.assign(from.regs);
  to.regs.set('orig_rax', -1);
  to.commit();
  if (ptrace.getXstate(from.tid, kernel.xstate) > 0) ptrace.setXstate(to.tid, kernel.xstate);
}

/** @param thread stopped at a plain place at home; runs in `generation` afterwards, unless the process is held */
export function moveOutTo(kernel: Kernel, thread: Thread, generation: Generation, stub: Task): void {
  transplantOut(kernel, thread, generation, stub);
  setOff(thread);
  park(kernel, thread.home);
}

/** The same for a thread whose turn is not over: it stands, stopped, in its stub afterwards. */
export function moveOutStanding(kernel: Kernel, thread: Thread, generation: Generation, stub: Task): void {
  transplantOut(kernel, thread, generation, stub);
  park(kernel, thread.home);
}

function transplantOut(kernel: Kernel, thread: Thread, generation: Generation, stub: Task): void {
  thread.home.fetch();
  transplant(kernel, thread.home, stub);
  leaveHome(thread, generation, stub);
}

/** @param thread its stub stopped at a plain place, registers fetched; stands stopped at home afterwards */
export function* moveHome(kernel: Kernel, thread: Thread): Steps<void> {
  const stub = thread.stub!;
  yield* stopParked(thread);
  transplant(kernel, stub, thread.home);
  comeHome(thread);
}

/** @param thread its stub stopped at a plain place; stands stopped in the other one afterwards */
export function moveAcrossTo(kernel: Kernel, thread: Thread, generation: Generation, stub: Task): void {
  const former = thread.stub!;
  former.fetch();
  transplant(kernel, former, stub);
  changeStub(thread, generation, stub);
}
