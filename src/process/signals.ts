/** Signals at home: how they are delivered to a thread that lives there, and how they wait for one that does not. */
import * as ptrace from '../linux/ptrace.js';
import { isGroupStop, isSignalStop, stopSignal } from '../linux/wait.js';
import { GATE_FREE_END, GATE_START } from '../x64/gate.js';
import type { Kernel } from './kernel.js';
import type { StashedSignal, Thread } from './model.js';
import type { Steps } from './steps.js';
import { letGo, occupy } from './turns.js';

/** Longer than any of the gate's routines. */
const MOST_STEPS = 400;

/** Puts back the siginfo of a signal that we sent again. */
function restoreInfo(thread: Thread, signal: number): void {
  const index = thread.reraised.findIndex((stashed) => stashed.signal === signal);
  if (index < 0) return;
  const [stashed] = thread.reraised.splice(index, 1);
  ptrace.setSiginfo(thread.home.tid, stashed!.info);
}

/** A signal-delivery stop of a thread that lives at home. */
export function homeSignal(kernel: Kernel, thread: Thread, signal: number): void {
  restoreInfo(thread, signal);
  const rip = thread.home.fetch().get('rip');
  if (rip >= GATE_START && rip < GATE_FREE_END) occupy(kernel, thread, 'signal in the gate', leaveGate(thread, signal));
  else letGo(thread, signal);
}

/**
 * A memory routine is short and must not be left by a handler's longjmp: it is stepped to its end first.
 * The signal is delivered from the last step's stop, with its own siginfo.
 */
function* leaveGate(thread: Thread, signal: number): Steps<void> {
  const { home } = thread;
  const info = new Uint8Array(ptrace.SIGINFO_SIZE);
  ptrace.getSiginfo(home.tid, info);
  for (let steps = 0; ; steps++) {
    if (steps > MOST_STEPS) throw new Error(`task ${home.tid} does not leave the gate`);
    home.step();
    yield* home.nextStop();
    if (isSignalStop(home.status) && stopSignal(home.status) !== 5) {
      thread.stashedSignals.push(takeSignal(thread));
      continue;
    }
    const rip = home.fetch().get('rip');
    if (rip < GATE_START || rip >= GATE_FREE_END) break;
  }
  ptrace.setSiginfo(home.tid, info);
  home.resume(signal);
}

function takeSignal(thread: Thread): StashedSignal {
  const info = new Uint8Array(ptrace.SIGINFO_SIZE);
  ptrace.getSiginfo(thread.home.tid, info);
  return { signal: stopSignal(thread.home.status), info };
}

/** A stop of a home whose thread is elsewhere or being worked on, that nobody waited for. */
export function parkedStopped(_kernel: Kernel, thread: Thread): void {
  const { home } = thread;
  if (isSignalStop(home.status)) {
    thread.stashedSignals.push(takeSignal(thread));
    home.resume();
  } else if (isGroupStop(home.status)) home.listen();
  else home.resume();
}
