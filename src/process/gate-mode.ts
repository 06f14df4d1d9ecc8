/** Whether the gate performs memory calls in the process, or sends them to the supervisor. */
import { AtlasError } from '../errors/atlas-error.js';
import { GATE_INFLIGHT, GATE_MODE } from '../x64/gate.js';
import type { Kernel } from './kernel.js';
import type { Space } from './model.js';
import { pause, type Steps } from './steps.js';

const LOOKS_AWAKE = 1000;

type Reason = 'wantsPlural' | 'exclusive';

/** From now on; who is inside still acts on what was before, until `untilGateIsEmpty`. */
export function closeGate(space: Space, reason: Reason): void {
  space[reason] = true;
  writeMode(space);
}

/** The gate opens when no other reason is left. */
export function openGate(space: Space, reason: Reason): void {
  space[reason] = false;
  writeMode(space);
}

/** @param deadline as performance.now() says */
export function* untilGateIsEmpty(kernel: Kernel, space: Space, deadline: number): Steps<void> {
  const inflight = new Uint32Array(1);
  for (let looks = 0; ; looks++) {
    space.store.read(GATE_INFLIGHT, new Uint8Array(inflight.buffer));
    if (inflight[0] === 0) return;
    // A routine takes microseconds; but job control may have stopped a thread in the middle of one.
    if (performance.now() >= deadline) {
      throw new AtlasError(
        'not-finished',
        `A thread of process ${space.hostPid} is stopped in the middle of a memory call.`,
        'Is the process stopped? Send it SIGCONT.',
      );
    }
    if (looks < LOOKS_AWAKE) yield* pause(kernel.scheduler);
    else yield* kernel.sleep(1);
  }
}

/** Nobody else makes a memory call while `work` is under way; the space's lock is held. */
export function* alone<T>(kernel: Kernel, space: Space, work: () => Steps<T>): Steps<T> {
  if (space.plural || space.exclusive) return yield* work();
  closeGate(space, 'exclusive');
  try {
    // As long as it takes: it is a call of the program's that waits, and job control may have stopped the other thread.
    yield* untilGateIsEmpty(kernel, space, Number.POSITIVE_INFINITY);
    return yield* work();
  } finally {
    openGate(space, 'exclusive');
  }
}

function writeMode(space: Space): void {
  space.store.write(GATE_MODE, Uint8Array.of(space.wantsPlural || space.exclusive ? 1 : 0, 0, 0, 0));
}
