/** A thread that is not like the others in what a stub shares with its process stays where it is. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileC } from '../harness/compile.js';
import { type Scope, scoped } from '../harness/scope.js';
import { source } from './builds.js';

const skip = process.getuid?.() === 0 ? false : 'only root can change credentials';

async function staysInBase(scope: Scope, how: string): Promise<void> {
  const started = await scope.atlas([await compileC(source('apart.c')), how], { name: 'apart' });
  while (!(await started.stdout()).includes('apart')) await sleep(20);
  const client = await scope.client('apart');
  const { generation } = await client.request('generation.create', { process: 'apart' });
  const { moved, pending } = await client.request('migrate', {
    process: 'apart',
    to: generation,
    timeoutMilliseconds: 500,
  });
  assert.equal(moved.length, 1);
  assert.equal(pending.length, 1);
  assert.match(pending[0]!.reason, /of its own/);
  const { threads } = await client.request('threads', { process: 'apart' });
  assert.deepEqual(threads.map((thread) => thread.generation).toSorted(), [0, generation]);
  started.kill('SIGTERM');
  await started.outcome();
}

scoped('a thread with a working directory of its own stays in the base', { seconds: 60 }, (scope) =>
  staysInBase(scope, 'directory'),
);

scoped('a thread with credentials of its own stays in the base', { seconds: 60, skip }, (scope) =>
  staysInBase(scope, 'credentials'),
);
