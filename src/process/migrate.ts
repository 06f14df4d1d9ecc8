/**
 * Moving one thread's execution from its home to a stub, between stubs, and home again. Only the thread's
 * own tasks are involved: nobody else stops.
 */
import * as ptrace from '../linux/ptrace.js';
import type { Kernel } from './kernel.js';
import { park, takeStub } from './generation.js';
import type { Generation, Thread } from './model.js';
import { stopParked } from './parking.js';
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

/** @param thread stopped at a plain place at home, registers fetched; runs in `generation` afterwards, unless the process is held */
export function* moveOut(kernel: Kernel, thread: Thread, generation: Generation): Steps<void> {
  const { home } = thread;
  const stub = yield* takeStub(kernel, generation);
  moveOutTo(kernel, thread, generation, stub);
  setOff(thread);
  park(kernel, home);
}

/** The move itself, with a stub at hand; the caller sets the thread off and parks the home. */
export function moveOutTo(kernel: Kernel, thread: Thread, generation: Generation, stub: Task): void {
  transplant(kernel, thread.home, stub);
  stub.thread = thread;
  thread.stub = stub;
  thread.generation = generation;
}

/** @param thread its stub stopped at a plain place, registers fetched; stands stopped at home afterwards */
export function* moveHome(kernel: Kernel, thread: Thread): Steps<void> {
  const stub = thread.stub!;
  yield* stopParked(thread);
  transplant(kernel, stub, thread.home);
  retireStub(thread);
  thread.generation = thread.process.space.base;
}

/** The stub waits, stopped, for its generation's next thread. */
export function retireStub(thread: Thread): void {
  const stub = thread.stub!;
  thread.stub = undefined;
  stub.thread = undefined;
  thread.generation.spareStubs.push(stub);
}

/** @param thread its stub stopped at a plain place, registers fetched */
export function* moveAcross(kernel: Kernel, thread: Thread, generation: Generation): Steps<void> {
  const former = thread.stub!;
  const stub = yield* takeStub(kernel, generation);
  transplant(kernel, former, stub);
  retireStub(thread);
  stub.thread = thread;
  thread.stub = stub;
  thread.generation = generation;
}
