import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { installed } from '../harness/programs.js';
import { type Scope, scoped } from '../harness/scope.js';

const workload = fileURLToPath(new URL('./node-workload.js', import.meta.url));

scoped('Node.js: workers, crypto, allocation, children, HTTP, timers', { seconds: 90 }, async (scope) => {
  const argv = [process.execPath, workload];
  const native = await scope.runNative(argv);
  assert.equal(native.status, 5, native.stderr);
  assert.deepEqual(await scope.runAtlas(argv), native);
});

/** Modules of CPython's own test-suite, and in them what takes seconds of sleeping. */
const MODULES: Record<string, string[]> = {
  test_threading: ['test_join_nondaemon_on_shutdown', '*Barrier*'],
  test_mmap: [],
  test_signal: ['*SiginterruptTest*', '*itimer_virtual*'],
  // The last one counts open descriptors, and sees the store's: limits.md, Memory.
  test_subprocess: ['*NoPoll*', '*timeout*', '*_dead', '*pass_fds_redirected'],
  test_os: [],
};

/** A CPython that has its own test-suite installed; Debian packs it apart. */
async function pythonWithTests(): Promise<string | false> {
  for (const python of ['/usr/bin/python3', await installed('python3')]) {
    if (python !== undefined && (await importsTests(python))) return python;
  }
  return false;
}

async function importsTests(python: string): Promise<boolean> {
  const { execFile } = await import('node:child_process');
  return new Promise((resolve) => {
    execFile(python, ['-c', 'import test.support, test.test_mmap'], (error) => resolve(error === null));
  });
}

const python = await pythonWithTests();

for (const [module, slow] of Object.entries(MODULES)) {
  scoped(
    `CPython's own ${module}`,
    { seconds: 240, skip: python === false ? 'no CPython with its test-suite is installed' : false },
    async (scope) => {
      const native = await verdicts(scope, 'runNative', module, slow);
      const atlas = await verdicts(scope, 'runAtlas', module, slow);
      assert.ok(native.size > 5, `${native.size} tests ran natively`);
      const worse = [...native].filter(([test, verdict]) => verdict === 'ok' && atlas.get(test) !== 'ok');
      assert.deepEqual(
        worse.map(([test]) => `${test}: ${atlas.get(test) ?? 'did not run'}`),
        [],
      );
    },
  );
}

async function verdicts(
  scope: Scope,
  run: 'runNative' | 'runAtlas',
  module: string,
  slow: readonly string[],
): Promise<Map<string, string>> {
  const argv = [
    python as string,
    '-m',
    'test',
    '-v',
    '-u',
    'none',
    ...slow.flatMap((name) => ['-i', name]),
    module,
  ];
  const { stdout, stderr } = await scope[run](argv);
  const found = new Map<string, string>();
  // "test_name (test.module.Class.test_name)", an optional line of description, then " ... ok".
  for (const match of (stdout + stderr).matchAll(
    /^(test\w+) \(([\w.]+)\)(?:\n[^\n]*)?? \.\.\. (ok|FAIL|ERROR)/gm,
  )) {
    found.set(`${match[2]} ${match[1]}`, match[3]!);
  }
  return found;
}
