import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PatchStrategy } from '../../src/supervisor/protocol.js';
import { compileProgram } from '../harness/compile.js';
import { missing } from '../harness/programs.js';
import { processesOfTest } from '../harness/proc.js';
import { type Scope, scoped } from '../harness/scope.js';
import { Builds } from './builds.js';
import { areaLines, hashOfImage } from './memory-of.js';
import { AWAKE, GRINDER, READER, WAITER, Workers } from './workers.js';

const skip = await missing('gcc');

const LINKED: [kind: string, flags: string[]][] = [
  ['position-independent', ['-fPIE', '-pie']],
  ['fixed', ['-fno-pie', '-no-pie']],
];

/** Applies the patch to a version, and verifies everything that can be seen from outside. */
async function applyAndCheck(
  scope: Scope,
  workers: Workers,
  patch: { file: string; strategy: PatchStrategy; to: number },
): Promise<void> {
  const { file, strategy, to } = patch;
  const about = `version ${to}, ${strategy}`;
  const tasksBefore = await workers.tasks();
  const processesBefore = (await processesOfTest(scope.id, scope.folder)).length;
  const areasBefore = await areaLines(workers.pid);

  const applied = await workers.apply(file, strategy);
  assert.equal(applied.settled, true, about);
  assert.equal(applied.patch, `version-${to}`);
  assert.deepEqual(applied.threads.map(({ tid }) => `${tid}`).toSorted(), tasksBefore, `${about}: who moved`);

  const now = await workers.proceed(AWAKE);
  for (const index of AWAKE) {
    const { newest, backwards, torn } = now[index]!;
    assert.deepEqual(
      { newest, backwards, torn },
      { newest: to, backwards: 0, torn: 0 },
      `${about}: ${index}`,
    );
  }
  const process = `${workers.pid}`;
  const { generations } = await workers.client.request('generation.list', { process });
  assert.deepEqual(
    generations.map(({ generation, diverged }) => ({ generation, diverged })),
    [{ generation: 0, diverged: [] }],
    about,
  );
  assert.deepEqual(
    generations[0]!.threads.map(String).toSorted(),
    tasksBefore,
    `${about}: all live in the base`,
  );
  const status = (await workers.client.request('patch.status', { process })).patches.at(-1)!;
  assert.deepEqual(
    { patch: status.patch, strategy: status.strategy, state: status.state },
    { patch: `version-${to}`, strategy, state: 'settled' },
  );
  const replaced = ['answer', 'grind', ...(to >= 3 ? ['later'] : []), 'part_of_answer'];
  assert.deepEqual(status.functions.map(({ name }) => name).toSorted(), replaced, about);

  assert.deepEqual(await workers.tasks(), tasksBefore, `${about}: the same tasks`);
  assert.equal(
    (await processesOfTest(scope.id, scope.folder)).length,
    processesBefore,
    `${about}: processes`,
  );
  const areas = await areaLines(workers.pid);
  assert.deepEqual(
    areasBefore.filter((line) => !areas.includes(line)),
    [],
    `${about}: all areas are still there`,
  );
  const added = areas.filter((line) => !areasBefore.includes(line));
  assert.ok(added.length > 0 && added.length <= 3, `${about}: the patch's own areas\n${added.join('\n')}`);
}

for (const [kind, flags] of LINKED) {
  scoped(
    `three patches of a ${kind} executable, one on top of the other, with threads asleep all the while`,
    { seconds: 45, skip },
    async (scope) => {
      const builds = await Builds.make(scope.folder, 'workers.c', flags);
      const files = [await builds.patch(1, 2), await builds.patch(2, 3), await builds.patch(3, 4)];
      const workers = await Workers.start(scope, builds);
      const before = await workers.proceed(AWAKE);
      assert.ok(AWAKE.every((index) => before[index]!.newest === 1));

      for (const [index, strategy] of (['local', 'global', 'local'] as const).entries()) {
        const patch = { file: files[index]!, strategy, to: index + 2 };
        await applyAndCheck(scope, workers, patch);
        for (const sleeper of [READER, WAITER]) {
          const { tid, calls } = (await workers.records())[sleeper]!;
          assert.equal(calls, 0);
          const stat = await readFile(`/proc/${workers.pid}/task/${tid}/stat`, 'latin1');
          assert.match(stat, /^\d+ \(.*\) S /, 'asleep in the kernel, not stopped');
        }
      }
      await workers.wakeSleepers();
      const woken = async (): Promise<void> => {
        while ((await workers.records()).some(({ calls }) => calls === 0)) await sleep(10);
      };
      await woken();
      const records = await workers.records();
      for (const sleeper of [READER, WAITER]) {
        const { newest, calls, torn } = records[sleeper]!;
        assert.deepEqual({ newest, calls, torn }, { newest: 4, calls: 1, torn: 0 });
      }
      assert.equal(await workers.end(), 0);
    },
  );
}

/** While a rollout is under way, nothing else may touch generations or move threads. */
async function refusesOthers({ client, pid }: Workers): Promise<void> {
  const process = `${pid}`;
  for (;;) {
    const { patches } = await client.request('patch.status', { process });
    if (patches.some(({ state }) => state === 'rolling-out')) break;
  }
  const refused = { kind: 'refused', message: /under way/ };
  await assert.rejects(client.request('generation.create', { process }), refused);
  await assert.rejects(client.request('migrate', { process, to: 0 }), refused);
  await assert.rejects(client.request('settle', { process }), refused);
}

scoped(
  'a thread that hardly leaves a replaced function: a barrier gives up in time, the wait-free rollout meets it',
  { seconds: 60, skip },
  async (scope) => {
    const builds = await Builds.make(scope.folder, 'workers.c', ['-DBREAK_MICROSECONDS=0']);
    const file = await builds.patch(1, 2);
    const workers = await Workers.start(scope, builds);
    const textOnly = async (): Promise<[string, string][]> =>
      Object.entries(await hashOfImage(workers.pid, builds.executable)).filter(([line]) =>
        / r[-x]{2}p /.test(line),
      );
    const text = await textOnly();
    const rollout = assert.rejects(workers.apply(file, 'global', 300), {
      kind: 'not-finished',
      message: /inside grind/,
    });
    await refusesOthers(workers);
    await rollout;
    assert.deepEqual(await textOnly(), text);
    const before = await workers.proceed(AWAKE);
    assert.ok(
      AWAKE.every((index) => before[index]!.newest === 1),
      'all go on as before',
    );
    await applyAndCheck(scope, workers, { file, strategy: 'local', to: 2 });
    assert.equal((await workers.records())[GRINDER]!.newest, 2);
    assert.equal(await workers.end(), 0);
  },
);

for (const strategy of ['local', 'global'] as const) {
  scoped(
    `a process whose memory may not become executable (PR_SET_MDWE) is patched, ${strategy}`,
    { seconds: 60, skip },
    async (scope) => {
      const builds = await Builds.make(scope.folder, 'workers.c');
      const file = await builds.patch(1, 2);
      const before = [await compileProgram('under_mdwe')];
      const workers = await Workers.start(scope, builds, 'workers', before);
      await workers.proceed(AWAKE);
      await applyAndCheck(scope, workers, { file, strategy, to: 2 });
      assert.equal(await workers.end(), 0);
    },
  );
}
