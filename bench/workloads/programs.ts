import { join } from 'node:path';
import { mustRun } from '../../examples/build/command.js';
import { repositoryRoot } from '../../examples/build/target.js';
import { atlasCommand } from '../../examples/demo/supervised.js';
import type { BenchContext } from '../context.js';
import type { Workload } from './workload.js';

/** A program that runs for so many seconds and prints its operations a second: its start is not measured. */
function programWorkload(
  name: string,
  operation: string,
  command: (context: BenchContext) => Promise<string[]>,
): Workload {
  return {
    name,
    pairs: 21,
    seconds: 1,
    missing: async () => undefined,
    async prepare(context, underAtlas) {
      const argv = await command(context);
      const launcher = underAtlas ? atlasCommand('run', '--') : [];
      return {
        run: async (seconds) => ({
          [operation]: Number(await mustRun([...launcher, ...argv, String(seconds)])),
        }),
      };
    },
  };
}

export const programWorkloads: Workload[] = [
  programWorkload('malloc', 'operations', async (context) => [await context.program('malloc-heavy')]),
  programWorkload('node', 'rounds', async () => [
    process.execPath,
    join(repositoryRoot(), 'bench/programs/node-allocate.mjs'),
  ]),
];
