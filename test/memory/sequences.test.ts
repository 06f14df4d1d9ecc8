import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compileProgram } from '../harness/compile.js';
import { assertSameLines } from '../harness/lines.js';
import { scoped } from '../harness/scope.js';
import { save, script } from './scripts.js';

const SCRIPTS_PER_RUN = 15;
const RUNS = 4;

scoped('random memory calls do what they do natively', { seconds: 240 }, async (scope) => {
  const sequence = await compileProgram('sequence');
  await fc.assert(
    fc.asyncProperty(
      fc.array(script(3), { minLength: 1, maxLength: SCRIPTS_PER_RUN, size: 'max' }),
      async (scripts) => {
        const files = await save(scope.folder, scripts);
        const argv = [sequence, '3', ...files];
        const native = await scope.runNative(argv);
        assert.equal(native.status, 0, native.stdout);
        assert.doesNotMatch(native.stdout, /failed:/);
        const atlas = await scope.within(60, scope.runAtlas(argv));
        assertSameLines(atlas.stdout, native.stdout, `${atlas.status} ${atlas.stderr}`);
        assert.deepEqual({ status: atlas.status, stderr: atlas.stderr }, { status: 0, stderr: '' });
      },
    ),
    { numRuns: RUNS, endOnFailure: true, includeErrorInReport: true },
  );
});
