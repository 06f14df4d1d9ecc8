/**
 * Going on at a breakpoint that is meant for others: the byte is taken away for the one step that passes
 * it. A sleeper that comes out in just that moment would be missed, so all who sleep there are looked at
 * again afterwards, and asked to stop if they are not asleep any more.
 */
import { ProcessMemory } from '../linux/memory.js';
import { isGroupStop, isSignalStop, stopSignal } from '../linux/wait.js';
import { SIGTRAP } from '../linux/signals.js';
import { release, sleepingPlace } from './breakpoints.js';
import type { Breakpoint, Thread } from './model.js';
import { postpone } from './parking.js';
import type { Steps } from './steps.js';
import { INT3 } from './text.js';

/** @param thread its runner stopped, the instruction pointer on the breakpoint */
export function* stepOver(thread: Thread, breakpoint: Breakpoint): Steps<void> {
  const { text } = breakpoint;
  using memory = new ProcessMemory(text.hostPid);
  breakpoint.stepping++;
  memory.write(breakpoint.address, Uint8Array.of(breakpoint.original));
  try {
    yield* passOne(thread);
  } finally {
    breakpoint.stepping--;
  }
  // Another thread may be about to take the same step: put back now, the byte would catch it in the middle.
  if (breakpoint.stepping > 0) return;
  release(breakpoint);
  if (text.breakpoints.get(breakpoint.address) !== breakpoint) return;
  memory.write(breakpoint.address, Uint8Array.of(INT3));
  for (const sleeper of breakpoint.sleepers) {
    if (sleepingPlace(sleeper)?.pc === breakpoint.address) continue;
    sleeper.runner.interrupt();
  }
}

/** One instruction, whatever else the task reports meanwhile. */
function* passOne(thread: Thread): Steps<void> {
  const { runner } = thread;
  for (let other = 0; ; ) {
    if (isGroupStop(runner.status)) runner.listen();
    else runner.step(other);
    other = 0;
    yield* runner.nextStop();
    if (!isSignalStop(runner.status)) continue;
    if (stopSignal(runner.status) === SIGTRAP) return;
    // A stub blocks all signals: what comes there is nobody's.
    other = runner === thread.home ? postpone(thread) : 0;
  }
}
