/** Many things at once: threads that are hard to move, moved over and over, by more than one client. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileC } from '../harness/compile.js';
import { type Scope, scoped } from '../harness/scope.js';
import { source } from './builds.js';

const NAME = 'storm';
const ROUNDS = 12;

/** Runs the program, does `work` to it, and expects it to have found nothing wrong. */
async function storm(scope: Scope, work: (process: string) => Promise<void>): Promise<void> {
  const end = join(scope.folder, 'end');
  const started = await scope.atlas([await compileC(source('storm.c')), end], { name: NAME });
  while (!(await started.stdout()).includes('under way')) {
    assert.ok(started.running, await started.stderr());
    await sleep(20);
  }
  try {
    await work(NAME);
  } catch (error) {
    await writeFile(end, '');
    const { status, stdout, stderr } = await started.outcome();
    const report = `the program ended with ${status}\n${stdout}${stderr}${await scope.report()}`;
    throw new Error(`${(error as Error).message}\n${report}`, { cause: error });
  }
  await writeFile(end, '');
  const { status, stdout, stderr } = await started.outcome();
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'under way\nall right\n', stderr: '' });
}

scoped(
  'forks, births, signals and memory calls of threads that are moved there and back',
  { seconds: 60 },
  (scope) =>
    storm(scope, async (process) => {
      const client = await scope.client(NAME);
      for (let round = 0; round < ROUNDS; round++) {
        const { generation } = await client.request('generation.create', { process });
        for (const to of [generation, 0]) {
          const { pending } = await client.request('migrate', { process, to, timeoutMilliseconds: 20_000 });
          assert.deepEqual(pending, [], `round ${round}, to ${to}`);
        }
        await client.request('generation.delete', { process, generation });
      }
    }),
);

scoped('two clients who move the same threads to different generations', { seconds: 60 }, (scope) =>
  storm(scope, async (process) => {
    const client = await scope.client(NAME);
    const create = async (): Promise<number> =>
      (await client.request('generation.create', { process })).generation;
    const generations = await Promise.all([create(), create()]);
    const mover = async (order: readonly number[]): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        // What the other has moved away in the meantime is not moved here: both are right.
        await client.request('migrate', {
          process,
          to: order[round % order.length]!,
          timeoutMilliseconds: 300,
        });
      }
    };
    await Promise.all([mover([...generations, 0]), mover([0, ...generations.toReversed()])]);
    const { pending } = await client.request('migrate', { process, to: 0, timeoutMilliseconds: 20_000 });
    assert.deepEqual(pending, []);
    for (const generation of generations) await client.request('generation.delete', { process, generation });
  }),
);

scoped('a process that is stopped and continued while its threads are moved', { seconds: 60 }, (scope) =>
  storm(scope, async (name) => {
    const client = await scope.client(NAME);
    const { processes } = await client.request('ps', {});
    const { pid } = processes.find((entry) => entry.name === name)!;
    let over = false;
    const stopper = (async () => {
      while (!over) {
        process.kill(pid, 'SIGSTOP');
        await sleep(15);
        process.kill(pid, 'SIGCONT');
        await sleep(40);
      }
    })();
    try {
      for (let round = 0; round < ROUNDS / 2; round++) {
        const { generation } = await client.request('generation.create', { process: name });
        for (const to of [generation, 0]) {
          const { pending } = await client.request('migrate', {
            process: name,
            to,
            timeoutMilliseconds: 20_000,
          });
          assert.deepEqual(pending, [], `round ${round}, to ${to}`);
        }
        await client.request('generation.delete', { process: name, generation });
      }
    } finally {
      over = true;
      await stopper;
    }
  }),
);
