/**
 * Asking a running thread to come to a plain stop, without disturbing what it does.
 *
 * A thread is at a *plain place* when its registers are all there is to its user-mode state: it is not
 * inside a system call that could sleep on.
 */
import { EINTR, isRestart } from '../linux/errno.js';
import { signalMasks } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import type { Registers } from '../x64/registers.js';
import type { Kernel } from './kernel.js';
import type { Process, Request, Thread } from './model.js';
import { Condition, type Steps } from './steps.js';
import type { Task } from './task.js';

/**
 * Calls for which EINTR is an answer that must stand: made again, they would not do the same. All others
 * that answer EINTR to a mere interrupt (epoll_wait, io_getevents, sockets with a timeout: signal(7),
 * "Interruption of system calls") are made again, so that the program does not see it. A connect that is made again
 * waits for the connection that it has begun (net/ipv4/af_inet.c, __inet_stream_connect).
 */
const KEEPS_EINTR: ReadonlySet<number> = new Set([SYS.close]);

/** Whether the interrupted call's EINTR would leak to the program. */
export const leaksEintr = (regs: Registers): boolean =>
  regs.signed('rax') === -EINTR && regs.signed('orig_rax') >= 0 && !KEEPS_EINTR.has(regs.signed('orig_rax'));

/** Back before the call, so that it is made again; once only, however often that is asked for at one stop. */
export function windBack(task: Task): void {
  const { regs } = task;
  if (regs.signed('orig_rax') < 0) return;
  regs.set('rip', regs.get('rip') - 2);
  regs.copy('rax', regs, 'orig_rax');
  regs.set('orig_rax', -1);
  task.commit();
}

/**
 * Whether an interrupted task was inside a sleeping system call. For the calls that would now leak EINTR
 * the call is wound back, so that it is made again; others are restarted by the kernel.
 * @param task at its interrupt stop, registers fetched
 */
export function wasAsleep(task: Task): boolean {
  const { regs } = task;
  if (regs.signed('orig_rax') < 0) return false;
  if (isRestart(regs.signed('rax'))) return true;
  if (!leaksEintr(regs)) return false;
  const masks = signalMasks(task.tid);
  // A signal is on its way: then EINTR is the right answer.
  if (masks && ((masks.pending | masks.sharedPending) & ~masks.blocked) !== 0n) return true;
  windBack(task);
  return true;
}

/** Queues `request` for the thread's next interrupt stop, and asks for that stop. */
export function ask(thread: Thread, request: Request): void {
  thread.requests.push(request);
  thread.runner.interrupt();
}

/**
 * Keeps a process's threads from running program code until `release`. A thread that is at work with us (it
 * waits for the space's lock, or its home is inside a call) need not be stopped: it cannot go on without
 * passing `letGo`, which keeps it here.
 */
export class Hold {
  readonly #missing = new Set<Thread>();
  readonly #all: Condition;
  /** Each with the signal that it goes on with. */
  readonly #kept = new Map<Thread, number>();
  readonly #goOn: (thread: Thread, signal: number) => void;

  /** @param goOn what a thread that was kept does afterwards */
  constructor(
    readonly kernel: Kernel,
    readonly process: Process,
    goOn: (thread: Thread, signal: number) => void,
  ) {
    this.#all = new Condition(kernel.scheduler);
    this.#goOn = goOn;
  }

  /** Stops all threads but `own`, wherever they are; done when the last one stands. */
  *stop(own: Thread): Steps<void> {
    this.process.hold = this;
    for (const thread of this.process.threads.values()) {
      if (thread === own || thread.atLock || thread.inHomeCall) continue;
      this.#missing.add(thread);
      thread.onGone.add(() => this.arrived(thread));
      thread.runner.interrupt();
    }
    if (this.#missing.size > 0) yield* this.#all.wait();
  }

  /** The thread cannot run program code any more. */
  arrived(thread: Thread): void {
    if (this.#missing.delete(thread) && this.#missing.size === 0) this.#all.fulfil();
  }

  /** @param thread stopped, and about to go on with `signal` */
  keep(thread: Thread, signal: number): void {
    this.#kept.set(thread, signal);
    this.arrived(thread);
  }

  release(): void {
    this.process.hold = undefined;
    for (const [thread, signal] of this.#kept) {
      // Somebody may have begun to work on a thread that was kept here: a signal's delivery. Its turn's end lets it go.
      if (!thread.home.gone && !thread.busy) this.#goOn(thread, signal);
    }
    this.#kept.clear();
  }
}
