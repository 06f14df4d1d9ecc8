/**
 * A stop by job control (SIGSTOP, ^Z) is the homes', and the kernel's doing. The stubs are another process: they are
 * brought to a stand before the signal takes effect, so that nothing runs any more when the parent is told, and go
 * on after SIGCONT.
 *
 *     delivery stop ── stubs stand ── resumed with the signal ──▶ group-stop ── SIGCONT ──▶ go on
 *                                                └── SIGCONT was faster ───────────────────▶ go on
 *
 * Which of the two it was is told by the next PTRACE_EVENT_STOP of the task that took the signal
 * (kernel/signal.c, do_jobctl_trap): it names the signal while the process is stopped, else SIGTRAP.
 */
import { isGroupStop, PTRACE_EVENT_STOP, stopEvent } from '../linux/wait.js';
import type { Kernel } from './kernel.js';
import type { Process, Thread } from './model.js';
import { Condition, type Steps } from './steps.js';
import type { Task } from './task.js';

/** Milliseconds; natively the parent is not told either while a thread cannot be interrupted. */
const LONGEST_WAIT = 1000;

export class JobStop {
  /** Took a signal that stops the process, and were not seen going on. */
  readonly #takers = new Set<Task>();
  readonly #missing = new Set<Thread>();
  /** Each with the signal that it goes on with. */
  readonly #kept = new Map<Thread, number>();
  readonly #waiting: Condition[] = [];

  constructor(readonly process: Process) {}

  /** Stops whatever still runs. */
  begin(taker: Task): void {
    this.#takers.add(taker);
    for (const thread of this.process.threads.values()) {
      const { stub } = thread;
      if (!stub || stub.stopped || thread.exited || this.#missing.has(thread)) continue;
      this.#missing.add(thread);
      thread.onGone.add(() => this.#arrived(thread));
      stub.interrupt();
    }
  }

  *untilAllStand(kernel: Kernel): Steps<void> {
    if (this.#missing.size === 0) return;
    const over = new Condition(kernel.scheduler);
    this.#waiting.push(over);
    yield* kernel.within(over, performance.now() + LONGEST_WAIT);
  }

  /** @param thread its stub is stopped, and would go on with `signal` */
  keep(thread: Thread, signal: number): void {
    this.#kept.set(thread, signal);
    thread.held = true;
    this.stands(thread);
  }

  /** It executes nothing before it passes `letGo`. */
  stands(thread: Thread): void {
    this.#arrived(thread);
  }

  /** @param task has ended, or does not stand in a group-stop @returns those that go on, when the stop is over */
  isOver(task: Task): ReadonlyMap<Thread, number> | undefined {
    if (!this.#takers.delete(task) || this.#takers.size > 0) return undefined;
    this.process.stop = undefined;
    this.#missing.clear();
    this.#fulfil();
    for (const thread of this.#kept.keys()) thread.held = false;
    return this.#kept;
  }

  #arrived(thread: Thread): void {
    if (this.#missing.delete(thread) && this.#missing.size === 0) this.#fulfil();
  }

  #fulfil(): void {
    for (const over of this.#waiting.splice(0)) over.fulfil();
  }
}

/** @param taker at the delivery stop of the signal, or in its group-stop */
export function stopStubs(process: Process, taker: Task): JobStop {
  process.stop ??= new JobStop(process);
  process.stop.begin(taker);
  return process.stop;
}

/** Whether a task's stop says that its process is not stopped by job control. */
export const endsJobStop = (status: number): boolean =>
  stopEvent(status) === PTRACE_EVENT_STOP && !isGroupStop(status);
