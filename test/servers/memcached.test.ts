import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ordinaryUser } from '../harness/ordinary-user.js';
import { freePort } from '../harness/ports.js';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { memcachedLoad } from './load.js';
import { thereAndBack } from './migration.js';
import { TextClient } from './text-client.js';

const skip = await missing('memcached');

function command(port: number): string[] {
  const asRoot = process.getuid!() === 0 ? ['-u', 'root'] : [];
  return ['memcached', '-l', '127.0.0.1', '-p', `${port}`, '-U', '0', '-t', '4', ...asRoot];
}

scoped('memcached serves and ends', { seconds: 60, skip }, async (scope) => {
  const port = await freePort();
  const server = await scope.server('atlas', command(port), port);
  const load = await memcachedLoad(port);
  await sleep(2000);
  await load.stop();
  assert.ok(load.answered > 200, `${load.answered} requests answered`);
  const client = await TextClient.connect(port);
  assert.match(await client.ask('stats\r\n', 'END\r\n'), /STAT threads 4\r\n/);
  client.close();
  server.kill('SIGTERM');
  const { status, stderr } = await server.outcome();
  assert.match(stderr, /^(Signal handled: Terminated\.?\n)?$/);
  assert.equal(status, 0);
});

scoped(
  'memcached under load: 20 generations, all threads there and back',
  { seconds: 120, skip },
  async (scope) => {
    const port = await freePort();
    const server = await scope.server('atlas', command(port), port, { name: 'cache' });
    const load = await memcachedLoad(port);
    await sleep(300);
    await thereAndBack(scope, 'cache', 20);
    const before = load.answered;
    await sleep(500);
    await load.stop();
    assert.ok(load.answered > before, 'it still answers afterwards');
    server.kill('SIGTERM');
    assert.equal(await server.ended, 0);
  },
);

scoped(
  'memcached as an ordinary user: serves and migrates',
  { seconds: 60, skip, user: ordinaryUser },
  async (scope, user) => {
    const port = await freePort();
    const argv = ['memcached', '-l', '127.0.0.1', '-p', `${port}`, '-U', '0', '-t', '4'];
    const server = await scope.server('atlas', argv, port, { name: 'cache', user });
    const load = await memcachedLoad(port, 6);
    for (let round = 0; round < 3; round++) {
      const { generation } = await scope.json<{ generation: number }>(['generation', 'create', 'cache'], {
        user,
      });
      for (const to of [generation, 0]) {
        const all = ['migrate', 'cache', '--to', `${to}`, '--all'];
        const { pending } = await scope.json<{ pending: unknown[] }>(all, { user });
        assert.deepEqual(pending, []);
      }
    }
    await load.stop();
    const { threads } = await scope.json<{ threads: { generation: number }[] }>(['threads', 'cache'], {
      user,
    });
    assert.ok(threads.length >= 5);
    assert.ok(threads.every(({ generation }) => generation === 0));
    server.kill('SIGTERM');
    assert.equal(await server.ended, 0);
  },
);
