/** The commands as clients of the socket: what they ask for, what they print, and with what they exit. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AtlasError } from '../../src/api/client.js';
import { serveAnswers } from '../api/fixtures.js';
import { scoped } from '../harness/scope.js';

const moved = { tid: 101, pauseMicroseconds: 81.25, asleep: false };
const asleep = { tid: 102, pauseMicroseconds: 0, asleep: true };
const pending = { tid: 103, reason: 'active in handle_request' };

scoped('threads and areas are shown as tables and as documents', { seconds: 60 }, async (scope) => {
  const threads = [
    { tid: 101, name: 'main', generation: 0, state: 'asleep', syscall: 'epoll_wait' },
    { tid: 102, name: 'worker', generation: 1, state: 'running' },
  ] as const;
  const areas = [
    { start: '0x1000', end: '0x2000', protection: 'r-xp', view: 'private', name: '/bin/x' },
  ] as const;
  const { server, asked } = await serveAnswers(scope.runtimeFolder, 'one', {
    threads: () => ({ threads: [...threads] }),
    areas: () => ({ areas: [...areas] }),
  });
  assert.deepEqual(await scope.json(['threads', 'one']), { threads });
  assert.equal(
    (await scope.cli(['threads', 'one'])).stdout,
    [
      'TID  NAME    GENERATION  STATE',
      '101  main             0  asleep in epoll_wait',
      '102  worker           1  running',
      '',
    ].join('\n'),
  );
  assert.deepEqual(await scope.json(['areas', 'one', '--generation', '1']), { areas });
  assert.deepEqual(asked.at(-1), ['areas', { process: 'one', generation: 1 }]);
  await server.close();
});

scoped('reading and writing name a place and bytes', { seconds: 60 }, async (scope) => {
  const { server, asked } = await serveAnswers(scope.runtimeFolder, 'one', {
    read: () => ({ address: '0x1139', bytes: 'f30f1efa' }),
    write: () => ({ address: '0x1139', length: 2 }),
  });
  const at = ['one', '--generation', '1'];
  const read = await scope.cli(['read', ...at, '--symbol', 'main+0x4', '--length', '4']);
  assert.match(read.stdout, /^000000001139 {2}f3 0f 1e fa +\|\.\.\.\.\|\n$/);
  assert.deepEqual(asked.at(-1), ['read', { process: 'one', generation: 1, symbol: 'main+0x4', length: 4 }]);
  assert.deepEqual(await scope.json(['read', ...at, '--address', '0x1139']), {
    address: '0x1139',
    bytes: 'f30f1efa',
  });
  assert.deepEqual(asked.at(-1), ['read', { process: 'one', generation: 1, address: '0x1139', length: 64 }]);
  assert.equal((await scope.cli(['write', ...at, '--address', '0x1139', '--bytes', '90 C3'])).status, 0);
  assert.deepEqual(asked.at(-1), [
    'write',
    { process: 'one', generation: 1, address: '0x1139', bytes: '90c3' },
  ]);
  assert.equal((await scope.cli(['write', ...at, '--symbol', 'text', '--text', 'hé'])).status, 0);
  assert.deepEqual(asked.at(-1), [
    'write',
    { process: 'one', generation: 1, symbol: 'text', bytes: '68c3a9' },
  ]);
  await server.close();
});

scoped(
  'migrate exits with 0, 3 or 7 as threads moved, had moved, or are pending',
  { seconds: 60 },
  async (scope) => {
    const results = [
      { moved: [moved, asleep], pending: [] },
      { moved: [], pending: [] },
      { moved: [moved], pending: [pending] },
    ];
    let next = 0;
    const { server, asked } = await serveAnswers(scope.runtimeFolder, 'one', {
      migrate: () => results[next]!,
    });
    for (const status of [0, 3, 7]) {
      const outcome = await scope.cli(['migrate', 'one', '--to', '1', '--all', '--json']);
      assert.equal(outcome.status, status);
      assert.deepEqual(JSON.parse(outcome.stdout), results[next]);
      next++;
    }
    assert.deepEqual(asked[0], ['migrate', { process: 'one', to: 1, timeoutMilliseconds: 10_000 }]);
    next = 2;
    const text = await scope.cli([
      'migrate',
      'one',
      '--to',
      '0',
      '--thread',
      '101',
      '--thread',
      '103',
      '--timeout',
      '0.5',
    ]);
    assert.match(text.stdout, /101 +81\.3 +moved\n.*103 +- +pending: active in handle_request\n/s);
    assert.deepEqual(asked.at(-1), [
      'migrate',
      { process: 'one', to: 0, threads: [101, 103], timeoutMilliseconds: 500 },
    ]);
    await server.close();
  },
);

scoped('patch apply sends the file and exits with 7 until it is settled', { seconds: 60 }, async (scope) => {
  const file = join(scope.folder, 'fix.atlas');
  await writeFile(file, 'patch bytes');
  let settled = true;
  const applied = () => ({
    patch: 'fix',
    strategy: 'local' as const,
    threads: [moved],
    totalMilliseconds: 12.5,
    warnings: ['limit: its enumerators are renumbered'],
    settled,
  });
  const { server, asked } = await serveAnswers(scope.runtimeFolder, 'one', { 'patch.apply': applied });
  assert.deepEqual(await scope.json(['patch', 'apply', 'one', file]), applied());
  const content = Buffer.from('patch bytes').toString('base64');
  assert.deepEqual(asked.at(-1), [
    'patch.apply',
    { process: 'one', strategy: 'local', file, content, timeoutMilliseconds: 10_000 },
  ]);
  settled = false;
  const unsettled = await scope.cli(['patch', 'apply', 'one', file, '--strategy', 'global', '--json']);
  assert.equal(unsettled.status, 7);
  assert.deepEqual(JSON.parse(unsettled.stdout), applied());
  await server.close();
});

scoped("a failure's kind is the exit code", { seconds: 60 }, async (scope) => {
  const kinds = {
    'nothing-to-do': 3,
    'bad-input': 4,
    'no-such-process': 5,
    refused: 6,
    'not-finished': 7,
    internal: 1,
  };
  let kind: keyof typeof kinds = 'internal';
  const { server } = await serveAnswers(scope.runtimeFolder, 'one', {
    settle: () => {
      throw new AtlasError(kind, `it is ${kind}`, 'Do something.');
    },
  });
  for (const [name, status] of Object.entries(kinds) as [keyof typeof kinds, number][]) {
    kind = name;
    const outcome = await scope.cli(['settle', 'one', '--json']);
    assert.equal(outcome.status, status, kind);
    assert.deepEqual(JSON.parse(outcome.stdout), {
      error: { kind, message: `it is ${kind}`, advice: 'Do something.' },
    });
  }
  const text = await scope.cli(['settle', 'one']);
  assert.equal(text.stderr, 'atlas: it is internal\nDo something.\n'.replace('internal', kind));
  await server.close();
});
