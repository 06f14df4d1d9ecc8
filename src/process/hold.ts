/**
 * Asking a running thread to come to a plain stop, without disturbing what it does.
 *
 * A thread is at a *plain place* when its registers are all there is to its user-mode state: it is not
 * inside a system call that could sleep on.
 */
import { EINTR, isRestart } from '../linux/errno.js';
import { ProcessMemory } from '../linux/memory.js';
import { signalMasks } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import type { Registers } from '../x64/registers.js';
import type { Kernel } from './kernel.js';
import { catchSleeper, forgetSleeper, stillCaught } from './breakpoints.js';
import type { Request, Space, Thread } from './model.js';
import type { Place } from './place.js';
import { Condition, type Steps } from './steps.js';
import type { Task } from './task.js';

/**
 * Calls for which EINTR is an answer that must stand: made again, they would not do the same. All others
 * that answer EINTR to a mere interrupt (epoll_wait, io_getevents, sockets with a timeout: signal(7),
 * "Interruption of system calls") are made again, so that the program does not see it. A connect that is made again
 * waits for the connection that it has begun (net/ipv4/af_inet.c, __inet_stream_connect).
 */
const KEEPS_EINTR: ReadonlySet<number> = new Set([SYS.close, SYS.restart_syscall]);

/** Whether the interrupted call's EINTR would leak to the program. */
export const leaksEintr = (regs: Registers): boolean =>
  regs.signed('rax') === -EINTR && regs.signed('orig_rax') >= 0 && !KEEPS_EINTR.has(regs.signed('orig_rax'));

/**
 * Whether the kernel has put the restart of an interrupted call in place already: rip is on the `syscall` instruction
 * again, for a restart_syscall that only this task can make (arch/x86/kernel/signal.c, arch_do_signal_or_restart).
 * A second interrupt finds it so.
 */
function isRestarting(task: Task): boolean {
  const { regs } = task;
  if (regs.signed('rax') !== SYS.restart_syscall || regs.signed('orig_rax') < 0) return false;
  using memory = new ProcessMemory(task.tid);
  const code = memory.read(regs.get('rip'), 2);
  return code[0] === 0x0f && code[1] === 0x05;
}

/** @param task at an interrupt stop, registers fetched @returns whether only this task can go on with its call */
export const keepsItsCall = (task: Task): boolean =>
  task.regs.signed('orig_rax') === SYS.restart_syscall || isRestarting(task);

/** Back before the call, so that it is made again; once only, however often that is asked for at one stop. */
export function windBack(task: Task): void {
  const { regs } = task;
  if (regs.signed('orig_rax') < 0) return;
  if (keepsItsCall(task)) throw new Error(`task ${task.tid} is to be wound back inside restart_syscall`);
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
  if (isRestart(regs.signed('rax')) || isRestarting(task)) return true;
  if (!leaksEintr(regs)) return false;
  const masks = signalMasks(task.tid);
  // A signal is on its way: then EINTR is the right answer.
  if (masks && ((masks.pending | masks.sharedPending) & ~masks.blocked) !== 0n) return true;
  windBack(task);
  return true;
}

/**
 * Whether a sleeper, at an interrupt stop of its runner, sleeps on in the call that it was caught in. If not it stands at
 * a plain place afterwards: a call that it has made since is wound back.
 */
export function sleepsOn(thread: Thread): boolean {
  const { runner } = thread;
  runner.fetch();
  const caught = stillCaught(thread);
  // Where only this task can go on with its call, it is met as it comes back, if it still comes that way.
  if (!wasAsleep(runner)) return false;
  if (caught || keepsItsCall(runner)) return true;
  windBack(runner);
  return false;
}

/** Queues `request` for the thread's next interrupt stop, and asks for that stop. */
export function ask(thread: Thread, request: Request): void {
  thread.requests.push(request);
  thread.runner.interrupt();
}

/**
 * The same, and waits until it is done, but not longer than until `deadline` for it to begin.
 * @returns whether it was done; not when the thread has ended, or did not come to a stop in time
 */
export function* askWithin(
  kernel: Kernel,
  thread: Thread,
  deadline: number,
  work: (thread: Thread) => Steps<void>,
): Steps<'done' | 'gone' | 'late'> {
  if (thread.exited) return 'gone';
  const over = new Condition(kernel.scheduler);
  const onGone = (): void => over.fulfil();
  thread.onGone.add(onGone);
  const progress: { at: 'asked' | 'begun' | 'done' } = { at: 'asked' };
  const request = function* (held: Thread): Steps<void> {
    progress.at = 'begun';
    try {
      yield* work(held);
      progress.at = 'done';
    } finally {
      over.fulfil();
    }
  };
  ask(thread, request);
  try {
    if (!(yield* kernel.within(over, deadline)) && progress.at === 'begun') yield* over.wait();
  } finally {
    thread.onGone.delete(onGone);
    const asked = thread.requests.indexOf(request);
    if (asked >= 0) thread.requests.splice(asked, 1);
  }
  if (progress.at === 'done') return 'done';
  return thread.exited || over.fulfilled ? 'gone' : 'late';
}

/**
 * Whether the thread is certain to execute no instruction of the program before it passes `letGo`: it has ended, its
 * home is inside a call of ours, it is caught as it wakes up, it stands and waits, job control has stopped it, or
 * it waits for its vfork child, whose end it reports (PTRACE_EVENT_VFORK_DONE).
 */
export function cannotRunCode(thread: Thread): boolean {
  const { at } = thread.place;
  if (at === 'gone' || at === 'call' || at === 'asleep') return true;
  return (
    thread.turn === 'at the lock' ||
    thread.turn === 'at the barrier' ||
    thread.held ||
    thread.vforkChild !== undefined
  );
}

/**
 * Keeps all threads of a space from running program code until `release`: those of a vfork child too. A thread
 * that cannot run code need not be stopped: it cannot go on without passing `letGo`, which keeps it here. One that
 * sleeps in the kernel is left asleep, and caught as it wakes up.
 */
export class Hold {
  readonly #missing = new Set<Thread>();
  readonly #all: Condition;
  /** Each with the signal that it goes on with. */
  readonly #kept = new Map<Thread, number>();
  /** Left asleep, for this hold only. */
  readonly #asleep = new Map<Thread, Place>();
  readonly #goOn: (thread: Thread, signal: number) => void;

  /** @param goOn what a thread that was kept does afterwards */
  constructor(
    readonly kernel: Kernel,
    readonly space: Space,
    goOn: (thread: Thread, signal: number) => void,
  ) {
    this.#all = new Condition(kernel.scheduler);
    this.#goOn = goOn;
  }

  /** Stops all threads but `own`, wherever they are; done when the last one stands. */
  *stop(own: Thread): Steps<void> {
    this.space.hold = this;
    for (const process of this.kernel.processes.values()) {
      if (process.space !== this.space) continue;
      for (const thread of process.threads.values()) if (thread !== own) this.#stop(thread);
    }
    if (this.#missing.size > 0) yield* this.#all.wait();
  }

  #stop(thread: Thread): void {
    if (cannotRunCode(thread)) return;
    if (!thread.busy && !thread.runner.stopped && catchSleeper(thread, { kind: 'stays' }) === 'caught') {
      this.#asleep.set(thread, thread.place);
      return;
    }
    this.#missing.add(thread);
    thread.onGone.add(() => this.arrived(thread));
    thread.runner.interrupt();
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
    this.space.hold = undefined;
    for (const [thread, place] of this.#asleep) if (thread.place === place) forgetSleeper(thread);
    for (const [thread, signal] of this.#kept) {
      // Somebody may have begun to work on a thread that was kept here: a signal's delivery. Its turn's end lets it go.
      if (!thread.home.gone && !thread.busy) this.#goOn(thread, signal);
    }
    this.#kept.clear();
  }
}
