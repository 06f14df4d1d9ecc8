/** What a thread's stub was sent by its own call (process/raised.ts) reaches the thread's home, before the stub goes on. */
import { hasSignal, signalMasks } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { InjectionScope } from '../process/inject.js';
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
  const scope = new InjectionScope(kernel, home);
  process.space.store.write(GATE_LISTS, info);
  yield* scope.call(SYS.rt_tgsigqueueinfo, process.pid, thread.tid, signal, GATE_LISTS);
  yield* scope.restore();
  yield* takePending(kernel, thread);
}
