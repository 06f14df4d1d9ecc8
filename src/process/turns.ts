/** Letting a thread go on, and giving a program the thread to itself until it is done. */
import { SYS } from '../linux/syscall-numbers.js';
import { c } from '../linux/ffi.js';
import type { Kernel } from './kernel.js';
import type { Thread } from './model.js';
import { type Steps, TaskGone } from './steps.js';

/** Continues the thread's runner from a stop; what is asked of the thread brings it back to one at once. */
export function letGo(thread: Thread, signal = 0): void {
  const { runner } = thread;
  const { hold } = thread.process;
  if (hold) {
    hold.keep(thread, signal);
    return;
  }
  if (thread.requests.length > 0) runner.interrupt();
  runner.resume(signal);
  raiseStashed(thread);
}

/**
 * Sends again the signals that came at a bad moment. Their siginfo is put back at the delivery stop, since
 * rt_tgsigqueueinfo may not claim another sender (kernel/signal.c, do_rt_tgsigqueueinfo).
 */
function raiseStashed(thread: Thread): void {
  if (thread.busy) return;
  for (const stashed of thread.stashedSignals.splice(0)) {
    thread.reraised.push(stashed);
    c.syscall3(SYS.tgkill, thread.process.pid, thread.tid, stashed.signal);
  }
}

/** What the work may ask for as the thread goes on from a signal-delivery stop. */
export interface Deliver {
  signal: number;
}

/** Runs `steps` with the thread stopped, then lets it go. */
export function occupy(kernel: Kernel, thread: Thread, name: string, steps: Steps<void | Deliver>): void {
  thread.busy = true;
  kernel.scheduler.start(`${name} of ${thread.tid}`, occupied(thread, steps));
}

function* occupied(thread: Thread, steps: Steps<void | Deliver>): Steps<void> {
  let outcome: void | Deliver = undefined;
  try {
    outcome = yield* steps;
  } catch (error) {
    thread.busy = false;
    if (!(error instanceof TaskGone) || thread.home.gone) throw error;
    // Another task that the work involved has ended; the thread itself goes on.
  }
  thread.busy = false;
  if (thread.runner.stopped) letGo(thread, outcome?.signal);
  // It has moved, and runs already: what was asked of it was asked of another task.
  else if (thread.requests.length > 0) thread.runner.interrupt();
}

/** Waits for the space's lock as a thread that stands before its call. */
export function* lockSpace(thread: Thread): Steps<Disposable> {
  const { hold, space } = thread.process;
  thread.atLock = true;
  hold?.arrived(thread);
  const lock = yield* space.lock.acquire();
  thread.atLock = false;
  return lock;
}

/** Serves what was asked of the thread, at its interrupt stop. */
export function serveRequests(kernel: Kernel, thread: Thread): void {
  occupy(kernel, thread, 'request', requests(thread));
}

function* requests(thread: Thread): Steps<void> {
  for (let request = thread.requests.shift(); request; request = thread.requests.shift())
    yield* request(thread);
}
