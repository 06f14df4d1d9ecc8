import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { compileProgram } from '../harness/compile.js';
import { assertSameLines } from '../harness/lines.js';
import { type Scope, scoped } from '../harness/scope.js';
import { script } from './scripts.js';

const SCRIPTS_PER_RUN = 25;
const RUNS = 5;

scoped('random memory calls do what they do natively', { seconds: 240 }, async (scope) => {
  const sequence = await compileProgram('sequence');
  await fc.assert(
    fc.asyncProperty(
      fc.array(script(3), { minLength: 1, maxLength: SCRIPTS_PER_RUN, size: 'max' }),
      async (scripts) => {
        const files = await save(scope, scripts);
        const argv = [sequence, '3', ...files];
        const native = await scope.runNative(argv);
        assert.equal(native.status, 0, native.stdout);
        assert.doesNotMatch(native.stdout, /failed:/);
        const atlas = await scope.runAtlas(argv);
        assertSameLines(atlas.stdout, native.stdout);
        assert.deepEqual({ status: atlas.status, stderr: atlas.stderr }, { status: 0, stderr: '' });
      },
    ),
    { numRuns: RUNS, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  );
});

async function save(scope: Scope, scripts: readonly string[]): Promise<string[]> {
  const files = scripts.map((_, index) => join(scope.folder, `script-${index}`));
  await Promise.all(files.map((file, index) => writeFile(file, scripts[index]!)));
  return files;
}
