/** What the kernel refuses or allows for the sake of what memory may be: executable, too much, one area more. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compileC, compileProgram } from '../harness/compile.js';
import { assertSameLines } from '../harness/lines.js';
import { PROGRAMS } from '../harness/paths.js';
import { type Scope, scoped } from '../harness/scope.js';

async function sameOutput(scope: Scope, argv: readonly string[]): Promise<string> {
  const native = await scope.runNative(argv);
  assert.doesNotMatch(native.stdout, /failed:/);
  assert.equal(native.status, 0, native.stderr);
  const atlas = await scope.runAtlas(argv);
  assertSameLines(atlas.stdout, native.stdout, atlas.stderr);
  assert.equal(atlas.status, 0, atlas.stderr);
  return native.stdout;
}

scoped('a program with an executable stack runs, and makes one anew', { seconds: 60 }, async (scope) => {
  const program = await compileC(join(PROGRAMS, 'executable_stack.c'), ['-z', 'execstack']);
  assert.match(await sameOutput(scope, [program]), /on the initial stack: 42, rwx/);
});

scoped(
  'a file on a noexec mount does not become code',
  { seconds: 60, skip: process.getuid?.() === 0 ? false : 'needs root' },
  async (scope) => {
    const program = await compileProgram('no_exec_mount');
    const mount = join(scope.folder, 'mount');
    await mkdir(mount);
    const script = `mount -t tmpfs -o noexec none ${mount} && exec ${program} ${mount}/file`;
    const output = await sameOutput(scope, ['unshare', '--mount', 'sh', '-c', script]);
    assert.match(output, /mprotect\(area \+ PAGE, PAGE, R \| X\): 13\n/);
  },
);

scoped('more memory than there is is refused where it is accounted', { seconds: 60 }, async (scope) => {
  await sameOutput(scope, [await compileProgram('too_much')]);
});

scoped('at the limit of areas, what is refused keeps its content', { seconds: 60 }, async (scope) => {
  const output = await sameOutput(scope, [await compileProgram('area_limit')]);
  assert.match(output, /intact: 1 1, discarded: 1\n$/);
});
