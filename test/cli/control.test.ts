/** The control socket and the log of real runs: whose they are, and what is left when a run is killed. */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { letGo } from '../harness/batch.js';
import { compileC } from '../harness/compile.js';
import { ATLAS, PROJECT } from '../harness/paths.js';
import { scoped } from '../harness/scope.js';
import type { Outcome } from '../harness/started.js';

scoped('two runs with the name of their command have a log each', { seconds: 60 }, async (scope) => {
  const detach = async (text: string) => {
    const script = `echo ${text}; sleep 60`;
    const { stdout } = await scope.cli(['run', '--detach', '--json', '--', 'bash', '-c', script]);
    return JSON.parse(stdout) as { name: string; log: string };
  };
  const [first, second] = [await detach('first'), await detach('second')];
  assert.deepEqual([first.name, second.name], ['bash', 'bash-2']);
  for (const [{ name, log }, text] of [
    [first, 'first\n'],
    [second, 'second\n'],
  ] as const) {
    assert.equal(log, join(scope.runtimeFolder, `${name}.log`));
    while ((await readFile(log, 'utf8')) === '') await sleep(10);
    assert.equal(await readFile(log, 'utf8'), text);
    process.kill((await scope.client(name)).info.supervisorPid, 'SIGTERM');
  }
});

scoped('a supervisor that is killed leaves no socket', { seconds: 30 }, async (scope) => {
  const front = await scope.atlas(['sleep', '60'], { name: 'killed' });
  const socket = join(scope.runtimeFolder, 'killed.sock');
  while (!(await readdir(scope.runtimeFolder)).includes('killed.sock')) await sleep(10);
  while ((await scope.client('killed')).info.pid === 0) await sleep(10);
  process.kill((await scope.client('killed')).info.supervisorPid, 'SIGKILL');
  assert.equal(await front.ended, 125);
  assert.deepEqual(await readdir(scope.runtimeFolder), [], socket);
});

scoped(
  'clients that are slow lock nobody out, even where few files may be open',
  { seconds: 60 },
  async (scope) => {
    await scope.native([
      'bash',
      '-c',
      `ulimit -n 256; exec ${process.execPath} ${ATLAS} run --name few -- sleep 60`,
    ]);
    const socket = join(scope.runtimeFolder, 'few.sock');
    while (!(await readdir(scope.runtimeFolder)).includes('few.sock')) await sleep(10);
    while ((await scope.client('few')).info.pid === 0) await sleep(10);
    const slow = Array.from({ length: 400 }, () => net.connect(socket));
    for (const client of slow) client.on('error', () => {});
    await Promise.all(
      slow.map((client) => new Promise((resolve) => client.once('connect', resolve).once('close', resolve))),
    );
    const client = await scope.client('few');
    const { generation } = await client.request('generation.create', { process: 'few' });
    const { settled } = await client.request('settle', { process: 'few' });
    assert.deepEqual([generation, settled], [1, true]);
    for (const connection of slow) connection.destroy();
    process.kill(client.info.supervisorPid, 'SIGTERM');
  },
);

scoped(
  'a program that wants to trace is told once that Atlas is the tracer',
  { seconds: 60 },
  async (scope) => {
    const program = await compileC(join(PROJECT, 'test/cli/traces.c'));
    const EPERM = '-1 errno 1';
    const about = String.raw`, which fails: under Atlas, Atlas itself is the one tracer that Linux allows \(docs/limits.md, Tracing\)\.\n`;
    const check = ({ status, stdout, stderr }: Outcome) => {
      assert.equal(status, 0);
      assert.equal(
        stdout,
        `traceme ${EPERM}\ntraceme ${EPERM}\nattach ${EPERM}\nseize ${EPERM}\npeek -1 errno 3\n`,
      );
      assert.match(
        stderr,
        new RegExp(
          `^atlas: traces \\(pid \\d+\\) asks to be traced${about}atlas: traces \\(pid \\d+\\) asks to trace task \\d+${about}$`,
        ),
      );
    };
    check(await scope.runAtlas([program]));

    await mkdir(scope.holdFolder);
    const moved = await scope.atlas([program], { name: 'moved', env: { ATLAS_TEST_HOLD: scope.holdFolder } });
    while ((await readdir(scope.holdFolder)).length === 0) await sleep(10);
    const client = await scope.client('moved');
    const { generation } = await client.request('generation.create', { process: 'moved' });
    const { pending } = await client.request('migrate', { process: 'moved', to: generation });
    assert.deepEqual(pending, []);
    await letGo(scope.holdFolder, client.info.pid);
    check(await moved.outcome());
  },
);
