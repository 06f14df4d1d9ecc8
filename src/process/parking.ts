/** A home whose thread lives elsewhere sleeps in the gate; here it is brought to a stop and back to sleep. */
import { getSiginfo, SIGINFO_SIZE } from '../linux/ptrace.js';
import { isGroupStop, isSignalStop, PTRACE_EVENT_STOP, stopEvent, stopSignal } from '../linux/wait.js';
import type { StashedSignal, Thread } from './model.js';
import type { Steps } from './steps.js';

/** The signal that a signal-delivery stop of the home is about, to be sent again later. */
export function takeSignal(thread: Thread): StashedSignal {
  const { home } = thread;
  const signal = stopSignal(home.status);
  const index = thread.reraised.findIndex((stashed) => stashed.signal === signal);
  if (index >= 0) return thread.reraised.splice(index, 1)[0]!;
  const info = new Uint8Array(SIGINFO_SIZE);
  getSiginfo(home.tid, info);
  return { signal, info };
}

/** Brings a parked home to a stop. Signals that arrive meanwhile wait until the thread is free again. */
export function* stopParked(thread: Thread): Steps<void> {
  const { home } = thread;
  home.interrupt();
  for (;;) {
    yield* home.nextStop();
    if (isSignalStop(home.status)) {
      thread.stashedSignals.push(takeSignal(thread));
      home.resumeToInterrupt();
    } else if (isGroupStop(home.status)) home.listen();
    else if (stopEvent(home.status) === PTRACE_EVENT_STOP) break;
    else home.resumeToInterrupt();
  }
  home.fetch();
}
