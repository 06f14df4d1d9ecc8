/** Breakpoint bytes of ours, met by those whom they are not meant for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { scoped } from '../harness/scope.js';
import { Subject } from './subject.js';

for (const threads of [1, 2, 4]) {
  scoped(
    `${threads} threads that sleep briefly, through two generations and home`,
    { seconds: 25 },
    async (scope) => {
      const program = await Subject.start(scope, 'sleepers.c', [`${threads}`]);
      await program.watch(async () => {
        for (let round = 0; round < 16 - 2 * threads; round++) {
          await program.moveAll(await program.create());
          await program.moveAll(await program.create());
          await sleep(15);
          await program.request('settle', {});
        }
      });
    },
  );
}

scoped(
  'fork children of a process whose sleeping threads are moved home meanwhile',
  { seconds: 25 },
  async (scope) => {
    const program = await Subject.start(scope, 'forks.c', ['24']);
    await program.watch(async () => {
      for (let round = 0; round < 6; round++) {
        await program.moveAll(await program.create());
        await program.request('settle', {});
      }
    });
  },
);

const PROTECTIONS = { 'read and executed': 5, 'written to, too': 7 };
for (const [kind, protection] of Object.entries(PROTECTIONS)) {
  scoped(`threads asleep by code in shared memory that can be ${kind}`, { seconds: 25 }, async (scope) => {
    const program = await Subject.start(scope, 'stored-code.c', [`${protection}`]);
    await program.watch(async () => {
      for (let round = 0; round < 4; round++) {
        const generation = await program.create();
        await program.moveAll(generation);
        await sleep(30);
        await program.moveAll(0);
        await program.request('generation.delete', { generation });
      }
    });
  });
}
