/** The wait-free rollout: each thread moves to the patched generation at its own quiescent moment. */
import { AtlasError } from '../errors/atlas-error.js';
import { createGeneration, deleteGeneration, type StubFilter } from '../process/generation.js';
import type { Kernel } from '../process/kernel.js';
import type { Process } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { LinkedPatch } from '../patch/index.js';
import { type Moved, migrateThreads } from './migration.js';
import type { Judge } from './objection.js';
import { settle } from './settle.js';
import { writeView } from './view.js';

export interface Rollout {
  moved: Moved[];
  settled: boolean;
}

export function* rollOutLocally(
  kernel: Kernel,
  process: Process,
  linked: LinkedPatch,
  judge: Judge,
  filter: StubFilter,
  milliseconds: number,
): Steps<Rollout> {
  const generation = yield* createGeneration(kernel, process, filter);
  for (const { address, newBytes } of linked.jumps) writeView(process, generation, address, newBytes);
  const deadline = performance.now() + milliseconds;
  const { moved, pending } = yield* migrateThreads(kernel, process, generation, milliseconds, { judge });
  if (pending.length > 0) {
    // Nobody is worse off: who has moved comes back, the new code stays where it is and is not called.
    yield* migrateThreads(kernel, process, process.space.base, milliseconds);
    yield* deleteGeneration(kernel, process, generation.id);
    const [first] = pending;
    throw new AtlasError(
      'not-finished',
      `${pending.length} of ${process.threads.size} threads did not become quiescent in time (thread ${first!.tid}: ${first!.reason}).`,
      'The patch was taken back. Try again, with a longer --timeout.',
    );
  }
  const { settled } = yield* settle(kernel, process, Math.max(1000, deadline - performance.now()));
  return { moved, settled };
}
