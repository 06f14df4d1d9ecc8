/** The wait-free rollout: each thread moves to the patched generation at its own quiescent moment. */
import { AtlasError } from '../errors/atlas-error.js';
import { createGeneration, deleteGeneration, type StubFilter } from '../process/generation.js';
import type { Kernel } from '../process/kernel.js';
import type { Generation, Process } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { LinkedPatch } from '../patch/index.js';
import { type Moved, migrateThreads } from './migration.js';
import type { Judge } from './objection.js';
import { settle } from './settle.js';
import { writeView } from './view.js';

const LEAST_MILLISECONDS_TO_SETTLE = 1000;
const MOST_MILLISECONDS_TO_COME_BACK = 10_000;

export interface Rollout {
  moved: Moved[];
  settled: boolean;
}

/** @param deadline as performance.now() says */
export function* rollOutLocally(
  kernel: Kernel,
  process: Process,
  linked: LinkedPatch,
  judge: Judge,
  filter: StubFilter,
  deadline: number,
): Steps<Rollout> {
  const generation = yield* createGeneration(kernel, process, filter, deadline);
  let complete = false;
  try {
    for (const { address, newBytes } of linked.jumps) writeView(generation, address, newBytes);
    const { moved, pending } = yield* migrateThreads(kernel, process, generation, deadline, { judge });
    if (pending.length > 0) {
      const [first] = pending;
      throw new AtlasError(
        'not-finished',
        `${pending.length} of ${process.threads.size} threads did not become quiescent in time (thread ${first!.tid}: ${first!.reason}).`,
        'The patch was taken back. Try again, with a longer --timeout.',
      );
    }
    // From here on everybody runs the new code: there is no way back, only forward.
    complete = true;
    const latest = Math.max(performance.now() + LEAST_MILLISECONDS_TO_SETTLE, deadline);
    const { settled } = yield* settle(kernel, process, latest);
    return { moved, settled };
  } finally {
    if (!complete && !process.ended) yield* takeBack(kernel, process, generation);
  }
}

/** Nobody is worse off: who has moved comes back, the new code stays where it is and is not called. */
function* takeBack(kernel: Kernel, process: Process, generation: Generation): Steps<void> {
  const latest = performance.now() + MOST_MILLISECONDS_TO_COME_BACK;
  const { pending } = yield* migrateThreads(kernel, process, process.space.base, latest);
  if (pending.length === 0 && !generation.ended) {
    yield* deleteGeneration(kernel, process, generation.id);
    return;
  }
  kernel.emit('rollout-left-half-way', { pid: process.pid, generation: generation.id, pending });
}
