/** (e) One mmap and munmap, which Atlas traps, over the same two calls natively. */
import { mustRun } from '../examples/build/command.js';
import { atlasCommand } from '../examples/demo/supervised.js';
import type { BenchContext } from './context.js';
import { type Section, duration, median } from './format.js';

const PAIRS_OF_CALLS = 5000;

export async function benchMapping(context: BenchContext): Promise<Section> {
  const program = await context.program('map-loop');
  const rounds = context.options.quick ? 2 : 5;
  const native: number[] = [];
  const atlas: number[] = [];
  for (let round = 0; round < rounds; round++) {
    native.push(Number(await mustRun([program, String(PAIRS_OF_CALLS)])) / 1000);
    atlas.push(Number(await mustRun([...atlasCommand('run', '--', program), String(PAIRS_OF_CALLS)])) / 1000);
  }
  return {
    name: 'mapping',
    title: 'one trapped mmap and munmap over native',
    rows: [
      {
        name: 'mmap + munmap, trapped',
        value: duration(median(atlas)),
        beside: `native ${duration(median(native))}; ${(median(atlas) / median(native)).toFixed(1)} times as long`,
        goal: '',
      },
    ],
    data: { microsecondsNative: native, microsecondsAtlas: atlas },
    notes: [],
    failures: [],
  };
}
