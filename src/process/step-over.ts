/**
 * Going on at a breakpoint that is meant for others: the byte is taken away for the one step that passes
 * it. A sleeper that comes out in just that moment would be missed, so all who sleep there are looked at
 * again afterwards, and asked to stop if they are not asleep any more.
 */
import { ProcessMemory } from '../linux/memory.js';
import { kernelPlace } from '../linux/proc.js';
import { isGroupStop, isSignalStop, stopSignal } from '../linux/wait.js';
import { SIGTRAP } from '../linux/signals.js';
import type { Breakpoint, Thread } from './model.js';
import { postpone } from './parking.js';
import type { Steps } from './steps.js';

const INT3 = 0xcc;

/** @param thread stopped at home, its instruction pointer on the breakpoint */
export function* stepOver(thread: Thread, breakpoint: Breakpoint): Steps<void> {
  const { space } = thread.process;
  using memory = new ProcessMemory(space.hostPid);
  breakpoint.stepping++;
  memory.write(breakpoint.address, Uint8Array.of(breakpoint.original));
  try {
    yield* passOne(thread);
  } finally {
    breakpoint.stepping--;
  }
  // Another thread may be about to take the same step: put back now, the byte would catch it in the middle.
  if (breakpoint.stepping > 0) return;
  if (space.breakpoints.get(breakpoint.address) !== breakpoint) return;
  memory.write(breakpoint.address, Uint8Array.of(INT3));
  for (const sleeper of breakpoint.sleepers) {
    const place = kernelPlace(sleeper.process.pid, sleeper.tid);
    if (place?.asleep && place.pc === breakpoint.address) continue;
    sleeper.home.interrupt();
  }
}

/** One instruction, whatever else the task reports meanwhile. */
function* passOne(thread: Thread): Steps<void> {
  const { home } = thread;
  for (let other = 0; ; ) {
    if (isGroupStop(home.status)) home.listen();
    else home.step(other);
    other = 0;
    yield* home.nextStop();
    if (!isSignalStop(home.status)) continue;
    if (stopSignal(home.status) === SIGTRAP) return;
    other = postpone(thread);
  }
}
