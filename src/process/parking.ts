/** A home whose thread lives elsewhere sleeps in the gate; here it is brought to a stop and back to sleep. */
import { getSiginfo, SIGINFO_SIZE } from '../linux/ptrace.js';
import { hasSignal, signalMasks } from '../linux/proc.js';
import { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU } from '../linux/signals.js';
import { isGroupStop, isSignalStop, PTRACE_EVENT_STOP, stopEvent, stopSignal } from '../linux/wait.js';
import type { StashedSignal, Thread } from './model.js';
import type { Steps } from './steps.js';

/** The signal that a signal-delivery stop of the home is about, to be sent again later. */
function takeSignal(thread: Thread): StashedSignal {
  const { home } = thread;
  const signal = stopSignal(home.status);
  const index = thread.reraised.findIndex((stashed) => stashed.signal === signal);
  if (index >= 0) return thread.reraised.splice(index, 1)[0]!;
  const info = new Uint8Array(SIGINFO_SIZE);
  getSiginfo(home.tid, info);
  return { signal, info };
}

/** Whether the signal stops the process; a caught one does not (signal(7), "Standard signals"). */
function stopsProcess(thread: Thread, signal: number): boolean {
  if (signal === SIGSTOP) return true;
  if (signal !== SIGTSTP && signal !== SIGTTIN && signal !== SIGTTOU) return false;
  const masks = signalMasks(thread.tid);
  return masks !== undefined && !hasSignal(masks.caught, signal) && !hasSignal(masks.ignored, signal);
}

/**
 * For the home's signal-delivery stop at a moment at which no handler can be entered: the signal is kept, to be
 * sent again later. One that stops the process cannot wait, because SIGCONT may overtake it: it takes effect now.
 * @returns what the home is to be resumed with
 */
export function postpone(thread: Thread): number {
  const signal = stopSignal(thread.home.status);
  if (stopsProcess(thread, signal)) return signal;
  thread.stashedSignals.push(takeSignal(thread));
  return 0;
}

/** Brings a parked home to a stop. Signals that arrive meanwhile wait until the thread is free again. */
export function* stopParked(thread: Thread): Steps<void> {
  const { home } = thread;
  home.interrupt();
  for (;;) {
    yield* home.nextStop();
    if (isSignalStop(home.status)) {
      home.interrupt();
      home.resume(postpone(thread));
    } else if (isGroupStop(home.status)) home.listen();
    else if (stopEvent(home.status) === PTRACE_EVENT_STOP) break;
    else home.resumeToInterrupt();
  }
  home.fetch();
}
