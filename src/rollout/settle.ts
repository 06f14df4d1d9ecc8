/**
 * Making the process plain again: what the threads' generation has of its own goes into the base, the
 * threads come home, the stub processes end.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { ProcessMemory } from '../linux/memory.js';
import { deleteGeneration } from '../process/generation.js';
import type { Kernel } from '../process/kernel.js';
import type { Generation, Process, Space } from '../process/model.js';
import type { Steps } from '../process/steps.js';
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
  using memory = new ProcessMemory(space.hostPid);
  for (const { address, bytes } of generation.divergences) {
    const under = Uint8Array.from(bytes);
    for (const breakpoint of space.breakpoints.values()) {
      const offset = breakpoint.address - address;
      if (offset < 0 || offset >= bytes.length) continue;
      breakpoint.original = bytes[offset]!;
      under[offset] = 0xcc;
    }
    if (!memory.write(address, under)) throw new Error(`writing the base at 0x${address.toString(16)}`);
  }
}

export function* settle(kernel: Kernel, process: Process, milliseconds: number): Steps<Settled> {
  const { space } = process;
  if (space.generations.size === 1)
    throw new AtlasError('nothing-to-do', `Process ${process.pid} is plain already.`);
  const generation = commonGeneration(process);
  if (generation.agent) adoptDivergences(space, generation);
  const migration = yield* migrateThreads(kernel, process, space.base, milliseconds);
  if (migration.pending.length > 0 || process.ended) return { ...migration, settled: false };
  for (const id of [...space.generations.keys()]) if (id !== 0) yield* deleteGeneration(kernel, process, id);
  return { ...migration, settled: true };
}
