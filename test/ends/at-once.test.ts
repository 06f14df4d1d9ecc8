/** Requests that come at the same time: each is served in its turn, or refused; none ends the run. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasClient } from '../../src/api/client.js';
import { scoped } from '../harness/scope.js';
import { answerOf, Subject } from './subject.js';

const ROUNDS = 10;

/** One address space again, whatever was going on. */
async function settled(program: Subject): Promise<void> {
  const { generations } = await program.request('generation.list', {});
  await program.moveAll(0);
  for (const { generation } of generations)
    if (generation !== 0) await program.request('generation.delete', { generation });
}

/** The same request a few times, 0 to 3 ms from now: one of them comes at a bad moment. */
async function aMomentLater(request: () => Promise<unknown>): Promise<boolean> {
  const answers = [0, 0, 1, 1, 2, 3].map(async (milliseconds) => {
    await sleep(milliseconds);
    return answerOf(request());
  });
  return (await Promise.all(answers)).some((answer) => answer !== undefined);
}

scoped('migrate, and settle a moment later', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'spinners.c', ['6']);
  await program.watch(async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const to = await program.create();
      const migrated = answerOf(program.request('migrate', { to }));
      await aMomentLater(() => program.request('settle', {}));
      await migrated;
      await settled(program);
    }
  });
});

scoped('migrate, and the deletion of the generation that it moves to', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'spinners.c', ['6']);
  await program.watch(async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const generation = await program.create();
      const migrated = answerOf(program.request('migrate', { to: generation }));
      const deleted = await aMomentLater(() => program.request('generation.delete', { generation }));
      const moved = await migrated;
      const { threads } = await program.request('threads', {});
      const { generations } = await program.request('generation.list', {});
      const known = new Set(generations.map((entry) => entry.generation));
      assert.ok(
        threads.every((thread) => known.has(thread.generation)),
        'every thread lives in a generation that there is',
      );
      assert.ok(moved || deleted, 'one of the two is served');
      await settled(program);
    }
  });
});

scoped('twenty clients at once', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'spinners.c', ['6']);
  await program.watch(async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => AtlasClient.connect('subject')));
    const process = `${program.pid}`;
    await Promise.all(
      clients.map(async (client, index) => {
        for (let turn = 0; turn < 4; turn++) {
          const made = await answerOf(client.request('generation.create', { process }));
          const to = (index + turn) % 3 === 0 ? 0 : (made?.generation ?? 0);
          await answerOf(client.request('migrate', { process, to, timeoutMilliseconds: 300 }));
          await client.request('threads', { process });
          if (index % 4 === 0)
            await answerOf(client.request('settle', { process, timeoutMilliseconds: 300 }));
          else if (made)
            await answerOf(client.request('generation.delete', { process, generation: made.generation }));
        }
      }),
    );
    await settled(program);
  });
});
