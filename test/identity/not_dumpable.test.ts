/** For an ordinary user the kernel hides most of /proc of a process that is not dumpable; that process must work on. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_CODE } from '../../src/errors/atlas-error.js';
import { compileC } from '../harness/compile.js';
import { ordinaryUser } from '../harness/ordinary-user.js';
import { PROJECT } from '../harness/paths.js';
import { installed, missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';

const skip = await missing('gcc');

for (const [how, ...args] of [['and is not dumpable'], ['in a user namespace of its own', 'user']]) {
  const name = `a process that works on ${how}`;
  scoped(name, { seconds: 90, user: ordinaryUser, skip }, async (scope, user) => {
    const program = await compileC(join(PROJECT, 'test/identity/not_dumpable.c'));
    const native = await scope.runNative([program, ...args], { user });
    assert.equal(native.status, 0, native.stdout);
    assert.deepEqual(await scope.runAtlas([program, ...args], { user }), native);
  });
}

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

scoped(
  'a process that the kernel hides gets no further generation, and works on',
  { seconds: 60, user: ordinaryUser, skip },
  async (scope, user) => {
    const program = await compileC(join(PROJECT, 'test/identity/hides.c'));
    const started = await scope.atlas([program], { user, name: 'hides' });
    while (!(await started.stdout()).includes('hidden\n')) await sleep(20);
    const { status, stdout } = await scope.cli(['generation', 'create', 'hides', '--json'], { user });
    assert.equal(status, EXIT_CODE.refused);
    assert.match(stdout, /not dumpable/);
    started.kill('SIGTERM');
    assert.equal((await started.outcome()).stdout, 'hidden\nsignalled\n');
  },
);
