/** What threads do while one of them, or the supervisor, is in the middle of something that concerns all. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { Builds } from '../rollout/builds.js';
import { Subject } from './subject.js';

scoped('a child that is not to be traced', { seconds: 25 }, async (scope) => {
  const program = await compileC(join(PROJECT, 'test/ends/untraced.c'));
  const native = await scope.runNative([program]);
  assert.equal(native.stdout, "child: exited 7\nthe parent's value: 1\n");
  assert.deepEqual(await scope.runAtlas([program]), native);
});

scoped(
  'credentials change while threads are born and end in a generation',
  { seconds: 20 },
  async (scope) => {
    const program = await Subject.start(scope, 'credentials.c');
    await program.watch(async () => {
      for (let round = 0; round < 6; round++) {
        const generation = await program.create();
        await program.moveAll(generation);
        await sleep(100);
        await program.moveAll(0);
        await program.request('generation.delete', { generation });
      }
    });
  },
);

const notRoot = process.getuid!() !== 0 && 'real-time scheduling needs root';
scoped('a protection changes while a generation is made', { seconds: 20, skip: notRoot }, async (scope) => {
  const program = await Subject.start(scope, 'protects.c');
  const areas = async (generation: number): Promise<string[]> => {
    const { areas: all } = await program.request('areas', { generation });
    return all
      .filter(({ name }) => name === '[store]')
      .map((area) => `${area.start} ${area.end} ${area.protection}`);
  };
  await program.watch(async () => {
    for (let round = 1; round <= 12; round++) {
      const generation = await program.create();
      await program.sign('still');
      await program.says('still', round);
      assert.deepEqual(await areas(generation), await areas(0), `round ${round}`);
      await rm(join(scope.folder, 'end.still'));
      await program.says('going', round);
      await program.request('generation.delete', { generation });
    }
  });
});

scoped(
  'an alternate stack that is none any more',
  { seconds: 20, skip: await missing('gcc') },
  async (scope) => {
    const builds = await Builds.make(scope.folder, '../ends/coroutine.c');
    const file = await builds.patch(1, 2);
    const content = (await readFile(file)).toString('base64');
    const program = await Subject.run(scope, [builds.executable, join(scope.folder, 'end')]);
    await program.watch(async () => {
      await program.says('entered');
      const { settled } = await program.request('patch.apply', { file, content, strategy: 'local' });
      assert.ok(settled);
      assert.match(await program.started.stdout(), /left/, 'nobody is inside the old code any more');
    });
  },
);
