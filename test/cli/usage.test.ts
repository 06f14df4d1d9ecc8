import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from '../harness/paths.js';
import { type Scope, scoped } from '../harness/scope.js';

interface Failure {
  error: { kind: string; message: string; advice: string };
}

async function failure(
  scope: Scope,
  args: readonly string[],
): Promise<{ status: number } & Failure['error']> {
  const { status, stdout, stderr } = await scope.cli([...args, '--json']);
  assert.equal(stderr, '', `atlas ${args.join(' ')}: with --json everything is in the document`);
  const { error, ...rest } = JSON.parse(stdout) as Failure;
  assert.deepEqual(rest, {});
  return { status, ...error };
}

scoped('usage errors exit with 2, as text and as JSON', { seconds: 60 }, async (scope) => {
  for (const [args, message] of [
    [['nothing'], /nothing/],
    [['threads'], /NAME/],
    [['threads', 'a', 'b'], /argument/i],
    [['threads', 'a', '--colour'], /colour/],
    [['areas', 'a', '--generation', 'x'], /generation/],
    [['migrate', 'a', '--to', '1'], /--thread and --all/],
    [['migrate', 'a', '--to', '1', '--all', '--thread', '1'], /--thread and --all/],
    [['migrate', 'a', '--to', '1', '--all', '--timeout', 'soon'], /timeout/],
    [['read', 'a', '--generation', '0'], /--address and --symbol/],
    [['write', 'a', '--generation', '0', '--symbol', 's'], /--bytes and --text/],
    [['write', 'a', '--generation', '0', '--symbol', 's', '--bytes', 'f'], /bytes/],
    [['patch', 'apply', 'a', 'f', '--strategy', 'canary'], /canary/],
    [['threads', '../etc/passwd'], /cannot be the name/],
  ] as const) {
    const { status, kind, message: found } = await failure(scope, args);
    assert.deepEqual([status, kind], [2, 'bad-usage'], `atlas ${args.join(' ')}`);
    assert.match(found, message, `atlas ${args.join(' ')}`);
  }
  const { status, stdout, stderr } = await scope.cli(['threads']);
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^atlas: .*NAME/);
});

scoped('usage errors of run exit with 2', { seconds: 30 }, async (scope) => {
  for (const args of [['run'], ['run', '--name', 'a/b', '--', 'true'], ['run', '--log', 'x', '--', 'true']]) {
    assert.equal((await scope.cli(args)).status, 2, args.join(' '));
  }
  const { status, stdout } = await scope.cli(['run', '--json', '--name', '17', '--', 'true']);
  assert.equal(status, 2);
  assert.equal((JSON.parse(stdout) as Failure).error.kind, 'bad-usage');
});

scoped(
  'who names no live process gets 5, who names no usable file gets 4',
  { seconds: 30 },
  async (scope) => {
    for (const reference of ['absent', 'absent:1', '1']) {
      const { status, kind } = await failure(scope, ['threads', reference]);
      assert.deepEqual([status, kind], [5, 'no-such-process'], reference);
    }
    const random = join(scope.folder, 'random');
    await writeFile(random, Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 37) % 256)));
    for (const args of [
      ['patch', 'inspect', join(scope.folder, 'absent')],
      ['patch', 'inspect', random],
      ['patch', 'apply', 'absent', join(scope.folder, 'absent')],
      ['patch', 'build', '--old', random, '--new', random, '-o', join(scope.folder, 'out')],
    ]) {
      const { status, kind } = await failure(scope, args);
      assert.deepEqual([status, kind], [4, 'bad-input'], args.join(' '));
    }
  },
);

scoped('an unsafe directory for sockets is refused with 6', { seconds: 30 }, async (scope) => {
  const { status, stdout } = await scope.cli(['ps', '--json'], { env: { ATLAS_RUNTIME_DIR: scope.folder } });
  assert.equal(status, 6);
  assert.equal((JSON.parse(stdout) as Failure).error.kind, 'refused');
});

scoped('without any run, ps has nothing to show', { seconds: 30 }, async (scope) => {
  assert.deepEqual(await scope.json(['ps']), { processes: [] });
  assert.match((await scope.cli(['ps'])).stdout, /^NAME +PID +THREADS +GENERATIONS +COMMAND\n$/);
});

scoped('every command has help with examples', { seconds: 60 }, async (scope) => {
  for (const command of [
    'run',
    'ps',
    'threads',
    'areas',
    'generation create',
    'generation list',
    'generation delete',
    'read',
    'write',
    'migrate',
    'settle',
    'patch build',
    'patch inspect',
    'patch apply',
    'patch status',
    'doctor',
  ]) {
    const { status, stdout, stderr } = await scope.cli([...command.split(' '), '--help']);
    assert.deepEqual([status, stderr], [0, ''], command);
    assert.match(stdout, new RegExp(`EXAMPLES\\n +atlas ${command}`), command);
    assert.match(stdout, /--json/, command);
  }
});

scoped('the version is that of the package', { seconds: 30 }, async (scope) => {
  const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
    version: string;
  };
  assert.equal((await scope.cli(['--version'])).stdout, `${version}\n`);
});
