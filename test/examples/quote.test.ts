/** The example server and its load, natively: what `npm start` relies on when it says that every answer was right. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mustRun } from '../../examples/build/command.js';
import { buildQuote } from '../../examples/build/quote.js';
import type { Target } from '../../examples/build/target.js';
import { untilListening } from '../../examples/demo/supervised.js';
import { now } from '../../examples/load/clock.js';
import { latenciesIn } from '../../examples/load/latency.js';
import { Load, freePort } from '../../examples/load/load.js';
import { linePrice, statementTotal } from '../../examples/load/quote-protocol.js';
import type { Recording } from '../../examples/load/recording.js';
import { judgeVersions } from '../../examples/load/versions.js';

const folder = mkdtempSync(join(tmpdir(), 'atlas-quote-test-'));
let target: Target;
before(async () => {
  target = await buildQuote(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function loadFor(port: number, milliseconds: number): Promise<Recording> {
  const load = new Load({
    protocol: 'quote',
    port,
    connections: 10,
    slowConnections: 2,
    requestsPerSecond: 1000,
    capacity: 100_000,
  });
  try {
    await sleep(milliseconds);
    return await load.stop();
  } finally {
    await load.abandon();
  }
}

async function loadOn(executable: string, milliseconds: number): Promise<Recording> {
  const port = await freePort();
  const server = spawn(executable, [String(port)], { stdio: 'ignore' });
  try {
    await untilListening(port, () => server.exitCode !== null, executable);
    return await loadFor(port, milliseconds);
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
  }
}

for (const [version, objects] of [
  [1, 'oldObjects'],
  [2, 'newObjects'],
] as const)
  test(`version ${version} of the server answers right, and says that it is version ${version}`, async () => {
    const executable = join(folder, `quote-${version}`);
    await mustRun(['gcc', '-pthread', target[objects], '-o', executable]);
    const from = now();
    const recording = await loadOn(executable, 700);
    assert.deepEqual(recording.complaints, []);
    assert.equal(recording.wrongAnswers + recording.failures, 0);
    const everything = { from, to: Number.POSITIVE_INFINITY };
    const { counts, threads, violations } = judgeVersions(recording, everything);
    assert.deepEqual(violations, []);
    assert.equal(version === 1 ? counts.during.old : counts.during.new, recording.count);
    assert.equal(threads.length, 6);
    const { count, p50 } = latenciesIn(recording, everything);
    assert.ok(count > 200 && count < recording.count, `${count} of ${recording.count}`);
    assert.ok(p50 > 0 && p50 < 500_000, `${p50} µs`);
  });

/** A server that answers every line of a client with what `answer` makes of it. */
async function loadOnFake(answer: (line: string, count: number) => string | undefined): Promise<Recording> {
  let count = 0;
  const server = createServer((socket) => {
    socket.setEncoding('latin1').on('error', () => {});
    socket.on('data', (text) => {
      const reply = answer(String(text).trimEnd(), ++count);
      if (reply === undefined) socket.destroy();
      else socket.write(reply);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await loadFor((server.address() as AddressInfo).port, 300);
  } finally {
    server.close();
  }
}

test('a wrong price, a serial that comes twice, and a closed connection do not go unnoticed', async () => {
  const wrong = await loadOnFake((_, count) => `-5 truncated 1 ${count} ${count}\n`);
  assert.equal(wrong.wrongAnswers, wrong.count);
  assert.match(wrong.complaints[0]!, /^-5 is not \d+ truncated$/);

  const right = (line: string): number => {
    const [verb, ...numbers] = line.split(' ');
    const [first, cents, permille] = numbers.map(Number);
    return verb === 'statement' ? statementTotal(1, first!) : linePrice(1, first!, cents!, permille!);
  };
  const twice = await loadOnFake((line, count) => `${right(line)} truncated 1 ${count} 1\n`);
  assert.ok(twice.complaints.includes('the serial 1 came twice'), twice.complaints.join('\n'));

  const lost = await loadOnFake((line, count) =>
    line === 'ledger' ? 'ledger 1 1\n' : `${right(line)} truncated 1 ${count} ${count}\n`,
  );
  assert.ok(lost.failures > 0);
  assert.match(lost.complaints.at(-1)!, /^ledger 1 1, but ledger \d+ \d+ was answered$/);

  const closed = await loadOnFake(() => undefined);
  assert.equal(closed.failures, 10);
});
