/** Programs built with a sanitizer, and programs that emulate others: they want the address space as they know it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { compileC, compileProgram } from '../harness/compile.js';
import { PROGRAMS } from '../harness/paths.js';
import { missing } from '../harness/programs.js';
import { type RunOptions, type Scope, scoped } from '../harness/scope.js';

const SOURCE = join(PROGRAMS, 'shadowed.c');

async function runsAsNatively(scope: Scope, argv: readonly string[], options: RunOptions): Promise<void> {
  const native = await scope.runNative(argv, options);
  assert.equal(native.stdout, 'child: exited 7\ncounted 600\n', native.stderr);
  const atlas = await scope.runAtlas(argv, options);
  assert.deepEqual(
    { status: atlas.status, stdout: atlas.stdout, stderr: atlas.stderr },
    { status: native.status, stdout: native.stdout, stderr: native.stderr },
  );
}

for (const sanitizer of ['thread', 'address', 'undefined']) {
  scoped(`a program built with -fsanitize=${sanitizer} runs`, { seconds: 90 }, async (scope) => {
    const program = await compileC(SOURCE, [`-fsanitize=${sanitizer}`]);
    // LeakSanitizer, a part of AddressSanitizer, needs to trace: docs/limits.md, Tracing.
    await runsAsNatively(scope, [program], { env: { ASAN_OPTIONS: 'detect_leaks=0' } });
  });
}

scoped('a program runs in valgrind', { seconds: 120, skip: await missing('valgrind') }, async (scope) => {
  await runsAsNatively(scope, ['valgrind', '-q', await compileProgram('shadowed')], {});
});
