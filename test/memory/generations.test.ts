import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { compileProgram } from '../harness/compile.js';
import { assertSameLines } from '../harness/lines.js';
import { type Scope, scoped } from '../harness/scope.js';
import { save, script } from './scripts.js';

const THREADS = 4;
const SCRIPTS = 12;

scoped(
  'memory calls made in one generation are seen in the others before the call returns',
  { seconds: 240 },
  async (scope) => {
    const sequence = await compileProgram('sequence');
    let runs = 0;
    const scripts = fc.array(script(THREADS), { minLength: 1, maxLength: SCRIPTS, size: 'max' });
    await fc.assert(
      fc.asyncProperty(scripts, async (sample) => {
        const argv = [sequence, `${THREADS}`, ...(await save(scope.folder, sample))];
        const native = await scope.runNative(argv);
        const folder = join(scope.folder, `threads-${runs}`);
        const name = `sequence-${runs++}`;
        await mkdir(folder);
        const atlas = await scope.atlas(argv, { name, env: { ATLAS_TEST_THREADS: folder } });
        await scope.within(
          30,
          spreadThreads(scope, name, folder, () => atlas.running),
        );
        assertSameLines(await atlas.stdout(), native.stdout);
        assert.equal(await atlas.ended, 0);
      }),
      { numRuns: 4, endOnFailure: true, includeErrorInReport: true },
    );
  },
);

for (const [maker, who] of [
  [0, 'of the base'],
  [1, 'of a generation'],
] as const) {
  scoped(`what a thread ${who} changes for all is changed for all`, { seconds: 120 }, async (scope) => {
    const argv = [await compileProgram('everywhere'), `${maker}`];
    const native = await scope.runNative(argv);
    assert.doesNotMatch(native.stdout, /failed:/);
    const folder = join(scope.folder, 'threads');
    await mkdir(folder);
    const atlas = await scope.atlas(argv, { name: 'everywhere', env: { ATLAS_TEST_THREADS: folder } });
    // Of the two threads the second is moved.
    await scope.within(
      60,
      spreadThreads(scope, 'everywhere', folder, () => atlas.running),
    );
    assertSameLines(await atlas.stdout(), native.stdout, await atlas.stderr());
    assert.equal(await atlas.ended, 0);
  });
}

/** Each script's process gets two more generations; its threads are dealt out to the three. */
async function spreadThreads(
  scope: Scope,
  name: string,
  folder: string,
  running: () => boolean,
): Promise<void> {
  const done = new Set<string>();
  while (running()) {
    for (const file of await readdir(folder)) {
      const process = file.slice(0, -'.threads'.length);
      if (!file.endsWith('.threads') || done.has(process)) continue;
      done.add(process);
      const client = await scope.client(name);
      const generations = [0];
      for (let i = 0; i < 2; i++) {
        generations.push((await client.request('generation.create', { process })).generation);
      }
      const tids = (await readFile(join(folder, file), 'utf8')).trim().split('\n').map(Number);
      for (const [index, tid] of tids.entries()) {
        const to = generations[index % generations.length]!;
        if (to === 0) continue;
        const { pending } = await client.request('migrate', { process, to, threads: [tid] });
        assert.deepEqual(pending, []);
      }
      await writeFile(join(folder, `${process}.moved`), '');
    }
    await sleep(10);
  }
}
