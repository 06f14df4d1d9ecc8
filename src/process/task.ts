/**
 * A kernel task that we trace. Its registers are cached here while it is stopped; every change of its
 * running state goes through this class, so that `stopped` is the truth.
 */
import * as ptrace from '../linux/ptrace.js';
import { isGone, isSignalStop, PTRACE_EVENT_STOP, stopEvent, stopSignal } from '../linux/wait.js';
import { Registers } from '../x64/registers.js';
import { type Program, type Steps, TaskGone, type Waitable } from './steps.js';
import type { Space, Thread } from './model.js';

/**
 * `home`: a thread's own kernel task. `stub`: executes a thread's code in a further generation. `agent`: belongs to
 * Atlas, performs calls for a generation. `launcher`: before the first exec. `unknown`: reported before its parent.
 */
export type TaskRole = 'unknown' | 'launcher' | 'doorbell' | 'home' | 'stub' | 'agent' | 'base-agent';

export class Task implements Waitable {
  waiter: Program | undefined;
  role: TaskRole = 'unknown';
  /** The thread whose home or stub it is. */
  thread: Thread | undefined;
  /** The last reported wait status. */
  status = 0;
  stopped = false;
  gone = false;
  /** Signals that came during a call of ours, to be sent again. */
  readonly postponed: number[] = [];
  /** The last task that a clone of this one made. */
  newborn = 0;
  /** Of a task that belongs to Atlas: the space it serves. */
  space: Space | undefined;
  /** Counts the programs that it has executed. */
  image = 0;
  /** Valid from `fetch` until the task runs again. */
  readonly regs = new Registers();

  constructor(readonly tid: number) {}

  /** Reads the registers of the stopped task. */
  fetch(): Registers {
    this.#mustStand('read');
    if (!ptrace.getRegs(this.tid, this.regs.bytes)) this.#lost();
    return this.regs;
  }

  /** Writes `regs` to the stopped task. */
  commit(): void {
    this.#mustStand('written');
    if (!ptrace.setRegs(this.tid, this.regs.bytes)) this.#lost();
  }

  /** @param signal is delivered when the task is in a signal-delivery-stop */
  resume(signal = 0): void {
    this.stopped = false;
    ptrace.cont(this.tid, signal);
  }

  resumeToSyscall(signal = 0): void {
    this.stopped = false;
    ptrace.contToSyscall(this.tid, signal);
  }

  step(signal = 0): void {
    this.stopped = false;
    ptrace.singleStep(this.tid, signal);
  }

  /** Stays in its group-stop, but reports when the stop ends or an interrupt comes. */
  listen(): void {
    this.stopped = false;
    ptrace.listen(this.tid);
  }

  /** Asks for a stop. Any other stop that comes first uses the request up (kernel/signal.c, ptrace_stop). */
  interrupt(): void {
    ptrace.interrupt(this.tid);
  }

  /** From another stop, goes on towards the interrupt's own. */
  resumeToInterrupt(): void {
    this.interrupt();
    this.resume();
  }

  /** Interrupts the task if it runs, and waits for just that stop; meant for tasks that block all signals. */
  *bringToStop(): Steps<void> {
    if (this.stopped) return;
    this.interrupt();
    while (stopEvent(yield* this.nextStop()) !== PTRACE_EVENT_STOP) {
      this.interrupt();
      this.resume(isSignalStop(this.status) ? stopSignal(this.status) : 0);
    }
  }

  /** Suspends the calling program until this task's next stop; throws TaskGone when it ends instead. */
  *nextStop(): Steps<number> {
    if (this.gone) throw new TaskGone(this.tid);
    yield this;
    if (isGone(this.status)) throw new TaskGone(this.tid);
    return this.status;
  }

  /** A request to a running task fails as one to an ended task does (ESRCH, ptrace(2)): the one is a defect of ours. */
  #mustStand(what: string): void {
    if (!this.stopped && !this.gone)
      throw new Error(`the registers of task ${this.tid} (${this.role}) are ${what} while it runs`);
  }

  #lost(): never {
    // The exit is reported by wait4 in its turn; whoever works on this task stops here.
    throw new TaskGone(this.tid);
  }
}
