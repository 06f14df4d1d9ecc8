/** Processes that fork, share memory with a child, or are forked. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasError } from '../../src/api/client.js';
import type { PatchStrategy } from '../../src/supervisor/protocol.js';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { Builds } from '../rollout/builds.js';
import { Subject } from './subject.js';

const skip = await missing('gcc');
const FORKING = '../ends/forking.c';

scoped(
  'a fork while another thread is in vfork, whose child makes a memory call',
  { seconds: 20 },
  async (scope) => {
    const program = await Subject.start(scope, 'vforks.c');
    await program.watch(async () => {
      for (let round = 0; round < 4; round++) {
        const generation = await program.create();
        await program.request('migrate', { to: generation, timeoutMilliseconds: 500 });
        await sleep(50);
        await program.moveAll(0);
        await program.request('generation.delete', { generation });
      }
    });
  },
);

scoped('a child with the same memory that is not in vfork', { seconds: 25 }, async (scope) => {
  const program = await Subject.start(scope, 'shares-memory.c');
  await program.watch(async () => {
    const { processes } = await program.client.request('ps', {});
    const child = processes.find(({ pid }) => pid !== program.pid)!;
    const created = await program.create().catch((error: AtlasError) => error);
    if (created instanceof AtlasError) {
      assert.equal(created.kind, 'refused');
      assert.match(`${created.message} ${created.advice}`, new RegExp(`shares .*memory.*${child.pid}`));
      assert.doesNotMatch(`${created.message} ${created.advice}`, /inside vfork|moment/);
      return;
    }
    await program.moveAll(created);
    await sleep(30);
    await program.request('settle', {});
  });
});

/** The patch from one version to another, for `patch.apply`. */
async function patchOf(builds: Builds, from: number, to: number): Promise<{ file: string; content: string }> {
  const file = await builds.patch(from, to);
  return { file, content: (await readFile(file)).toString('base64') };
}

scoped('a global rollout to a program that forks all the while', { seconds: 20, skip }, async (scope) => {
  const builds = await Builds.make(scope.folder, FORKING);
  const patches = [await patchOf(builds, 1, 2), await patchOf(builds, 2, 1)];
  const program = await Subject.run(scope, [builds.executable, join(scope.folder, 'end'), '1']);
  await program.watch(async () => {
    for (let round = 0; round < 6; round++) {
      const patch = patches[round % 2]!;
      const { settled } = await program.request('patch.apply', {
        ...patch,
        strategy: 'global',
        timeoutMilliseconds: 3000,
      });
      assert.ok(settled);
    }
  });
});

scoped('a child that a patched process has forked is patched, too', { seconds: 20, skip }, async (scope) => {
  const builds = await Builds.make(scope.folder, FORKING);
  const patches = [await patchOf(builds, 1, 2), await patchOf(builds, 2, 3), await patchOf(builds, 3, 4)];
  const end = join(scope.folder, 'end');
  const program = await Subject.run(scope, [builds.executable, end, '0']);
  const apply = async (index: number, strategy: PatchStrategy, process?: string): Promise<void> => {
    const { settled } = await program.request('patch.apply', { ...patches[index]!, strategy }, process);
    assert.ok(settled);
  };
  await program.watch(async () => {
    await apply(0, 'local');
    await writeFile(`${end}.fork`, '');
    const workerSees = async (version: number): Promise<void> => {
      while ((await readFile(`${end}.worker`, 'utf8').catch(() => '')) !== `${version}\n`) await sleep(5);
    };
    await workerSees(2);
    const { processes } = await program.client.request('ps', {});
    const worker = `${processes.find(({ pid }) => pid !== program.pid)!.pid}`;
    const parents = await program.request('patch.status', {});
    assert.deepEqual(await program.request('patch.status', {}, worker), parents);
    for (const [index, strategy] of [
      [1, 'local'],
      [2, 'global'],
    ] as const) {
      await apply(index, strategy, worker);
      await workerSees(index + 2);
    }
    const { patches: inForce } = await program.request('patch.status', {}, worker);
    assert.deepEqual(
      inForce.map(({ patch, state }) => [patch, state]),
      [2, 3, 4].map((version) => [`version-${version}`, 'settled']),
    );
    assert.deepEqual(await program.request('patch.status', {}), parents, 'the parent is as it was');
  });
});
