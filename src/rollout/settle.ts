/**
 * Making the process plain again: what the threads' generation has of its own goes into the base, the
 * threads come home, the stub processes end.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { deleteGeneration } from '../process/generation.js';
import type { Kernel } from '../process/kernel.js';
import type { Generation, Process, Space } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { writeText } from '../process/text.js';
import { type Migration, migrateThreads } from './migration.js';

export interface Settled extends Migration {
  settled: boolean;
}

/** The one generation that all threads live in. */
export function commonGeneration(process: Process): Generation {
  const generations = new Set([...process.threads.values()].map((thread) => thread.generation));
  const [only] = generations;
  if (!only || generations.size > 1) {
    throw new AtlasError(
      'refused',
      `The threads of process ${process.pid} live in ${generations.size} generations.`,
      'Migrate all of them to one generation first; its view then becomes the process’s.',
    );
  }
  return only;
}

/**
 * Writes a generation's own bytes into the base. No thread runs code of the base meanwhile: all live in the
 * generation, or are caught before their first instruction. So nobody sees a half-written instruction.
 */
export function adoptDivergences(space: Space, generation: Generation): void {
  for (const { address, bytes } of generation.divergences) {
    if (!writeText(space.base, address, bytes))
      throw new Error(`writing the base at 0x${address.toString(16)}`);
  }
}

/** A vfork child runs code of the base, whatever generation its parent lives in. */
export function* untilNoneBorrows(kernel: Kernel, process: Process, deadline: number): Steps<void> {
  const { space } = process;
  while (space.users > 1) {
    if (performance.now() >= deadline) {
      throw new AtlasError(
        'not-finished',
        `A child of process ${process.pid} still runs in its memory (vfork, or clone with CLONE_VM).`,
        'The base can be changed once it has ended or executes another program: try again.',
      );
    }
    yield* kernel.sleep(1);
  }
}

/** @param deadline as performance.now() says */
export function* settle(kernel: Kernel, process: Process, deadline: number): Steps<Settled> {
  const { space } = process;
  if (space.generations.size === 1)
    throw new AtlasError('nothing-to-do', `Process ${process.pid} is plain already.`);
  commonGeneration(process);
  yield* untilNoneBorrows(kernel, process, deadline);
  // From the last look to the last byte nothing is waited for: a thread born meanwhile has not been resumed.
  const generation = commonGeneration(process);
  if (generation.agent) adoptDivergences(space, generation);
  const migration = yield* migrateThreads(kernel, process, space.base, deadline);
  if (migration.pending.length > 0) return { ...migration, settled: false };
  for (const id of [...space.generations.keys()]) if (id !== 0) yield* deleteGeneration(kernel, process, id);
  for (const patch of process.patches) patch.state = 'settled';
  return { ...migration, settled: true };
}
