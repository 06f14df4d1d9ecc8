/** `npm start` as a user runs it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../examples/build/command.js';
import { repositoryRoot } from '../../examples/build/target.js';
import { atlas } from '../../examples/demo/supervised.js';

const DEMO = join(repositoryRoot(), 'dist/examples/demo.js');

test('both rollouts succeed, every answer is right, and the text fits a terminal', {
  timeout: 150_000,
}, async () => {
  const { code, stdout, stderr } = await run([process.execPath, DEMO, '--seconds', '1'], {
    timeoutMilliseconds: 120_000,
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /^All right: \d{4,} answers, each one checked, none wrong or lost/m);
  assert.deepEqual(stdout.match(/^(local|global): (each|all)/gm), ['local: each', 'global: all']);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
});

async function said(child: ChildProcess, text: string): Promise<void> {
  let output = '';
  for await (const chunk of child.stdout!.setEncoding('utf8')) {
    output += chunk as string;
    if (output.includes(text)) return;
  }
  assert.fail(`ended without saying ${text}:\n${output}`);
}

test('an interrupt ends the server and the supervisor too', { timeout: 60_000 }, async () => {
  const demo = spawn(process.execPath, [DEMO, '--seconds', '60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(demo, 'exit');
  try {
    await said(demo, 'runs under Atlas');
    const name = `quote-local-${demo.pid}`;
    const isListed = async (): Promise<boolean> => {
      const { processes } = await atlas<{ processes: { name: string }[] }>('ps');
      return processes.some((process) => process.name === name);
    };
    while (!(await isListed())) await sleep(100);
    demo.kill('SIGINT');
    assert.deepEqual(await exited, [130, null]);
    assert.equal(await isListed(), false);
  } finally {
    demo.kill('SIGKILL');
  }
});
