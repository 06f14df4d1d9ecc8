/** Requests end in time, whatever the threads are doing. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { scoped } from '../harness/scope.js';
import { Subject } from './subject.js';

/** Longer than any test may take: a request that spins or waits until then is found out by the watchdog. */
const FOR_EVER = 600_000;

scoped('threads that are born and end while all are moved there and back', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'short-lived.c');
  await program.watch(async () => {
    const generations = [await program.create(), await program.create()];
    for (let round = 0; round < 40; round++) {
      const to = generations[round % 2]!;
      const { pending } = await program.request('migrate', { to, timeoutMilliseconds: FOR_EVER });
      assert.deepEqual(pending, []);
    }
  });
});

scoped('threads that are born and end while the process settles', { seconds: 20 }, async (scope) => {
  const program = await Subject.start(scope, 'short-lived.c');
  await program.watch(async () => {
    for (let round = 0; round < 10; round++) {
      const to = await program.create();
      await program.request('migrate', { to, timeoutMilliseconds: FOR_EVER });
      const { settled } = await program.request('settle', { timeoutMilliseconds: FOR_EVER });
      assert.ok(settled);
    }
  });
});

scoped(
  'a process that job control has stopped is not waited for beyond the time-out',
  { seconds: 20 },
  async (scope) => {
    const program = await Subject.start(scope, 'spinners.c', ['2']);
    await program.watch(async () => {
      const to = await program.create();
      process.kill(program.pid, 'SIGSTOP');
      for (;;) {
        const { threads } = await program.request('threads', {});
        if (threads.every(({ state }) => state === 'stopped')) break;
        await sleep(5);
      }
      const { moved, pending } = await program.request('migrate', { to, timeoutMilliseconds: 200 });
      // Whether a stopped thread can be moved is another question; that each has an answer is this one.
      assert.equal(moved.length + pending.length, 3);
      for (const { reason } of pending) assert.match(reason, /stopped/);
      process.kill(program.pid, 'SIGCONT');
      await program.moveAll(to);
      await program.moveAll(0);
      await program.moveAll(await program.create());
      const { settled } = await program.request('settle', {});
      assert.ok(settled);
    });
  },
);

for (const where of ['further generations', 'home']) {
  scoped(
    `a thread in a call that its home makes is moved twice, to ${where}`,
    { seconds: 20 },
    async (scope) => {
      const program = await Subject.start(scope, 'waits.c', ['call']);
      const { started } = program;
      await program.moveAll(await program.create());
      await writeFile(join(scope.folder, 'end.wait'), '');
      while (!(await started.stdout()).includes('waiting')) await sleep(5);
      await sleep(50);
      await program.moveAll(await program.create());
      const to = where === 'home' ? 0 : await program.create();
      const { moved, pending } = await program.request('migrate', { to, timeoutMilliseconds: 500 });
      assert.deepEqual([moved.length, pending], [2, []]);
      const another = await program.create();
      assert.ok(another > to);
      await writeFile(join(scope.folder, 'end.wake'), '');
      await writeFile(join(scope.folder, 'end'), '');
      const { status, stdout } = await started.outcome();
      assert.deepEqual([status, stdout], [0, 'ready\nwaiting\nall right\n']);
    },
  );
}

scoped('a thread that loops on a time-out above a second comes home', { seconds: 25 }, async (scope) => {
  const program = await Subject.start(scope, 'waits.c', ['poll']);
  await program.watch(async () => {
    await program.moveAll(await program.create());
    // By then it has woken up once, in the generation.
    await sleep(1600);
    const { settled, pending } = await program.request('settle', { timeoutMilliseconds: 5000 });
    assert.deepEqual([settled, pending], [true, []]);
  });
});
