/**
 * Letting a thread go on, and giving a program the thread to itself until it is done.
 *
 *     free ── take ──▶ taken ◀── stand ──▶ at the lock, at the barrier
 *       ▲                │
 *       └──── endTurn ───┘
 */
import { Gone } from '../errors/gone.js';
import { SYS } from '../linux/syscall-numbers.js';
import { c } from '../linux/ffi.js';
import type { Kernel } from './kernel.js';
import type { Thread, Turn } from './model.js';
import type { Steps } from './steps.js';

/** Continues the thread's runner from a stop; what is asked of the thread brings it back to one at once. */
export function letGo(thread: Thread, signal = 0): void {
  const { runner } = thread;
  const { hold } = thread.process.space;
  if (hold) {
    hold.keep(thread, signal);
    return;
  }
  if (thread.requests.length > 0) runner.interrupt();
  if (thread.place.at === 'asleep' && !thread.place.breakpoint) runner.resumeToSyscall(signal);
  else runner.resume(signal);
  if (!thread.busy) raiseStashed(thread);
}

/**
 * Sends again the signals that came at a bad moment. Their siginfo is put back at the delivery stop, since
 * rt_tgsigqueueinfo may not claim another sender (kernel/signal.c, do_rt_tgsigqueueinfo).
 */
export function raiseStashed(thread: Thread): void {
  for (const stashed of thread.stashedSignals.splice(0)) {
    thread.reraised.push(stashed);
    c.syscall3(SYS.tgkill, thread.process.pid, thread.tid, stashed.signal);
  }
}

/** What the work may ask for as the thread goes on from a signal-delivery stop. */
export interface Deliver {
  signal: number;
}

/** The thread is the calling program's, until `endTurn`. */
export function take(thread: Thread): void {
  if (thread.turn !== 'free') throw new Error(`thread ${thread.tid} is taken: ${thread.turn}`);
  thread.turn = 'taken';
}

/** Runs `steps` with the thread stopped, then lets it go. */
export function occupy(kernel: Kernel, thread: Thread, name: string, steps: Steps<void | Deliver>): void {
  take(thread);
  kernel.scheduler.start(`${name} of ${thread.tid}`, occupied(thread, steps));
}

function* occupied(thread: Thread, steps: Steps<void | Deliver>): Steps<void> {
  let outcome: void | Deliver = undefined;
  try {
    outcome = yield* steps;
  } catch (error) {
    if (!(error instanceof Gone) || thread.home.gone || thread.exited) {
      thread.turn = 'free';
      throw error;
    }
    // Another task that the work involved has ended; the thread itself goes on.
  }
  endTurn(thread, outcome?.signal);
}

/** The thread is nobody's any more. */
export function endTurn(thread: Thread, signal?: number): void {
  thread.turn = 'free';
  if (thread.runner.stopped) {
    letGo(thread, signal);
    return;
  }
  // It has moved, and runs already: what was asked of it was asked of another task.
  if (thread.requests.length > 0) thread.runner.interrupt();
  raiseStashed(thread);
}

/** Waits as a thread that stands, stopped: it executes nothing until the wait is over, and a hold counts it. */
export function* stand<T>(
  thread: Thread,
  where: Extract<Turn, 'at the lock' | 'at the barrier'>,
  wait: Steps<T>,
): Steps<T> {
  thread.turn = where;
  thread.process.space.hold?.arrived(thread);
  try {
    return yield* wait;
  } finally {
    thread.turn = 'taken';
  }
}

/** Waits for the space's lock as a thread that stands before its call. */
export const lockSpace = (thread: Thread): Steps<Disposable> =>
  stand(thread, 'at the lock', thread.process.space.lock.acquire());

/** Lets a thread go on in the task that it has just moved to; if the process is held, its turn ends in `letGo`. */
export function setOff(thread: Thread): void {
  if (!thread.process.space.hold) thread.runner.resume();
}

/** Serves what was asked of the thread, at its interrupt stop. */
export function serveRequests(kernel: Kernel, thread: Thread): void {
  occupy(kernel, thread, 'request', requests(thread));
}

/** The same inside another program's work: a request that fails because a task of its own has ended ends alone. */
export function* serveHere(thread: Thread): Steps<void> {
  for (let request = thread.requests.shift(); request; request = thread.requests.shift()) {
    try {
      yield* request(thread);
    } catch (error) {
      if (!(error instanceof Gone) || thread.home.gone) throw error;
    }
  }
}

function* requests(thread: Thread): Steps<void> {
  // Where it has moved and runs, the others are served at its next stop; and one may have been withdrawn.
  while (thread.requests.length > 0 && thread.runner.stopped) yield* thread.requests.shift()!(thread);
}
