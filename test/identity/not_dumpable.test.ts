/** For an ordinary user the kernel hides most of /proc of a process that is not dumpable; that process must work on. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { compileC } from '../harness/compile.js';
import { ordinaryUser } from '../harness/ordinary-user.js';
import { PROJECT } from '../harness/paths.js';
import { installed, missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';

const skip = await missing('gcc');

scoped('a process that is not dumpable', { seconds: 60, user: ordinaryUser, skip }, async (scope, user) => {
  const program = await compileC(join(PROJECT, 'test/identity/not_dumpable.c'));
  const native = await scope.runNative([program], { user });
  assert.equal(native.status, 0, native.stdout);
  assert.deepEqual(await scope.runAtlas([program], { user }), native);
});

const timeout = await installed('timeout');
scoped(
  'a child that dumps core makes coreutils’ timeout not dumpable',
  { seconds: 60, user: ordinaryUser, skip: timeout ? false : 'timeout is not installed' },
  async (scope, user) => {
    const command = ['sh', '-c', `ulimit -c unlimited; ${timeout} 20 sh -c 'kill -QUIT $$'; echo $?`];
    const native = await scope.runNative(command, { user });
    assert.deepEqual(await scope.runAtlas(command, { user }), native);
  },
);
