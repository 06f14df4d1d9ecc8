import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../harness/ports.js';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { redisLoad } from './load.js';
import { thereAndBack } from './migration.js';

const skip = await missing('redis-server', 'redis-cli', 'redis-benchmark');

function command(port: number, folder: string): string[] {
  const threads = ['--io-threads', '2', '--io-threads-do-reads', 'yes'];
  const quiet = ['--save', '', '--bind', '127.0.0.1', '--dir', folder, '--enable-debug-command', 'yes'];
  return ['redis-server', '--port', `${port}`, ...threads, ...quiet];
}

scoped(
  'redis with io-threads serves, saves in the background, and a native one loads it',
  { seconds: 90, skip },
  async (scope) => {
    const port = await freePort();
    const ask = async (...words: string[]) => {
      const { status, stdout } = await scope.runNative(['redis-cli', '-p', `${port}`, ...words]);
      assert.equal(status, 0, stdout);
      return stdout.trim();
    };
    let server = await scope.server('atlas', command(port, scope.folder), port);
    const load = await redisLoad(port);
    const tests = ['-t', 'set,get,lpush,lrange_100,zadd', '-n', '3000', '-r', '1000', '-q'];
    const bench = await scope.runNative(['redis-benchmark', '-p', `${port}`, ...tests]);
    assert.equal(bench.status, 0, bench.stderr);
    assert.doesNotMatch(bench.stdout + bench.stderr, /error/i);
    assert.match(await ask('BGSAVE'), /started/i);
    while (!/rdb_bgsave_in_progress:0/.test(await ask('INFO', 'persistence'))) await sleep(50);
    assert.match(await ask('INFO', 'persistence'), /rdb_last_bgsave_status:ok/);
    await load.stop();
    assert.equal(await ask('SAVE'), 'OK');
    const digest = await ask('DEBUG', 'DIGEST');
    server.kill('SIGTERM');
    assert.equal(await server.ended, 0);
    server = await scope.server('native', command(port, scope.folder), port);
    assert.equal(await ask('DEBUG', 'DIGEST'), digest);
    server.kill('SIGTERM');
    assert.equal(await server.ended, 0);
  },
);

scoped('redis under load: all threads there and back', { seconds: 90, skip }, async (scope) => {
  const port = await freePort();
  const server = await scope.server('atlas', command(port, scope.folder), port, { name: 'redis' });
  const load = await redisLoad(port);
  await thereAndBack(scope, 'redis', 10);
  await load.stop();
  server.kill('SIGTERM');
  assert.equal(await server.ended, 0);
});
