/** What a thread's stub was sent by its own call (process/raised.ts) reaches the thread's home, before the stub goes on. */
import { isError } from '../linux/errno.js';
import { hasSignal, signalMasks } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { borrow } from '../process/inject.js';
import type { Kernel } from '../process/kernel.js';
import type { StashedSignal, Thread } from '../process/model.js';
import { stopParked } from '../process/parking.js';
import type { Steps } from '../process/steps.js';
import { lockSpace } from '../process/turns.js';
import { GATE_LISTS } from '../x64/gate.js';
import { takePending } from './home-call.js';

/**
 * The home queues the signal to itself, with the siginfo that it has natively (only the target itself may claim
 * SI_USER: kernel/signal.c, do_rt_tgsigqueueinfo). So whatever becomes of it is the kernel's own doing: it is handled, ends
 * the process, waits for being unblocked or taken.
 */
export function* raiseAtHome(kernel: Kernel, thread: Thread, { signal, info }: StashedSignal): Steps<void> {
  const { home, process } = thread;
  const masks = signalMasks(thread.tid);
  if (masks && hasSignal(masks.ignored, signal) && !hasSignal(masks.blocked, signal)) return;
  using _lock = yield* lockSpace(thread);
  yield* stopParked(thread);
  yield* borrow(kernel, home, function* (scope) {
    process.space.store.write(GATE_LISTS, info);
    const result = yield* scope.call(SYS.rt_tgsigqueueinfo, process.pid, thread.tid, signal, GATE_LISTS);
    if (isError(result)) throw new Error(`raising signal ${signal} at ${thread.tid}: errno ${-result}`);
  });
  yield* takePending(kernel, thread);
}
