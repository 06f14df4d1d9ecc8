/** A patch that does not fit is refused before anything is touched: not a byte, not an area, not a thread. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { tmpdir } from 'node:os';
import { EXIT_CODE } from '../../src/errors/atlas-error.js';
import { missing } from '../harness/programs.js';
import { type Scope, scoped } from '../harness/scope.js';
import { Builds } from './builds.js';
import { areaLines, hashOfImage } from './memory-of.js';

const skip = await missing('gcc', 'strip', 'mkfifo');
const execute = promisify(execFile);

let folder: string;
let builds: Builds;
let fitting: string;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'atlas-refusals-'));
  builds = await Builds.make(folder, 'refusals.c');
  fitting = await builds.patch(1, 2);
});
after(() => (folder ? rm(folder, { recursive: true }) : undefined));

interface Refusal {
  what: string;
  kind: keyof typeof EXIT_CODE;
  message: RegExp;
  /** Makes the patch file. */
  make: (scope: Scope) => Promise<string>;
  /** What runs, when it is not the plain executable. */
  target?: (scope: Scope) => Promise<string>;
}

/** A patch between two builds, made without looking at the running executable. */
async function untargeted(scope: Scope, from: string[], to: string[]): Promise<string> {
  const file = join(scope.folder, 'untargeted.atlas');
  const objects = ['--old', await builds.object(1, from), '--new', await builds.object(2, to)];
  await scope.json(['patch', 'build', ...objects, '--output', file]);
  return file;
}

async function changed(scope: Scope, change: (bytes: Buffer) => Buffer): Promise<string> {
  const file = join(scope.folder, 'damaged.atlas');
  await writeFile(file, change(await readFile(fitting)));
  return file;
}

const REFUSALS: Refusal[] = [
  {
    what: 'a patch whose old functions have other bytes',
    kind: 'refused',
    message: /price: the running program has other bytes/,
    make: (scope) => untargeted(scope, ['-DOTHER_BUILD'], ['-DOTHER_BUILD']),
  },
  {
    what: 'a patch for another build-id',
    kind: 'refused',
    message: /the patch is for build [0-9a-f]+, and .* is build [0-9a-f]+/,
    make: async (scope) => {
      const other = await Builds.make(scope.folder, 'refusals.c', ['-DOTHER_BUILD']);
      return other.patch(1, 2);
    },
  },
  {
    what: 'half a patch file',
    kind: 'bad-input',
    message: /damaged\.atlas/,
    make: (scope) => changed(scope, (bytes) => bytes.subarray(0, bytes.length / 2)),
  },
  {
    what: 'a patch file without its last byte',
    kind: 'bad-input',
    message: /damaged\.atlas/,
    make: (scope) => changed(scope, (bytes) => bytes.subarray(0, -1)),
  },
  {
    what: 'random bytes',
    kind: 'bad-input',
    message: /damaged\.atlas/,
    make: (scope) => changed(scope, (bytes) => randomBytes(bytes.length)),
  },
  {
    what: 'an empty file',
    kind: 'bad-input',
    message: /damaged\.atlas/,
    make: (scope) => changed(scope, () => Buffer.alloc(0)),
  },
  {
    what: 'a file that does not exist',
    kind: 'bad-input',
    message: /nowhere\.atlas/,
    make: async (scope) => join(scope.folder, 'nowhere.atlas'),
  },
  {
    what: 'a stripped target',
    kind: 'refused',
    message: /the executable is stripped/,
    make: async () => fitting,
    target: async (scope) => {
      const stripped = join(scope.folder, 'stripped');
      await copyFile(builds.executable, stripped);
      await execute('strip', [stripped]);
      return stripped;
    },
  },
];

for (const { what, kind, message, make, target } of REFUSALS) {
  scoped(`refused, and nothing is touched: ${what}`, { seconds: 40, skip }, async (scope) => {
    const executable = (await target?.(scope)) ?? builds.executable;
    const fifo = join(scope.folder, 'fifo');
    await execute('mkfifo', [fifo]);
    const started = await scope.atlas([executable, fifo], { name: 'victim' });
    while (!(await started.stdout()).includes('ready\n')) await sleep(20);
    const { processes } = await scope.json<{ processes: { pid: number }[] }>(['ps']);
    const { pid } = processes[0]!;
    const file = await make(scope);
    const [areas, hashes] = [await areaLines(pid), await hashOfImage(pid, executable)];
    for (const access of [/ r-x/, / r--/, / rw-/])
      assert.ok(
        Object.keys(hashes).some((line) => access.test(line)),
        `text, constants and data are looked at: ${access}`,
      );

    for (const strategy of ['local', 'global']) {
      const apply = ['patch', 'apply', 'victim', file, '--strategy', strategy, '--json'];
      const { status, stdout } = await scope.cli(apply);
      const { error } = JSON.parse(stdout) as { error: { kind: string; message: string } };
      assert.match(error.message, message);
      assert.equal(error.kind, kind);
      assert.equal(status, EXIT_CODE[kind]);
    }
    assert.deepEqual(await areaLines(pid), areas);
    assert.deepEqual(await hashOfImage(pid, executable), hashes);
    const client = await scope.client('victim');
    const { generations } = await client.request('generation.list', { process: 'victim' });
    assert.deepEqual(
      generations.map(({ generation }) => generation),
      [0],
    );
    const { patches } = await client.request('patch.status', { process: 'victim' });
    assert.deepEqual(patches, []);
    await writeFile(fifo, '5');
    while (!(await started.stdout()).includes('116\n')) await sleep(20);
    await writeFile(fifo, 'q');
    assert.deepEqual(await started.outcome(), { status: 0, stdout: 'ready\n116\n', stderr: '' });
  });
}

const REFUSED_BUILDS: [what: string, flag: string, message: RegExp][] = [
  ['changed initialised data', '-DCHANGED_DATA', /limit/],
];

for (const [what, flag, message] of REFUSED_BUILDS) {
  scoped(`refused when the patch is built: ${what}`, { seconds: 20, skip }, async (scope) => {
    const file = join(scope.folder, 'refused.atlas');
    const objects = ['--old', await builds.object(1), '--new', await builds.object(1, [flag])];
    const { status, stdout } = await scope.cli(['patch', 'build', ...objects, '--output', file, '--json']);
    assert.equal(status, EXIT_CODE.refused);
    assert.match((JSON.parse(stdout) as { error: { message: string } }).error.message, message);
    await assert.rejects(stat(file), { code: 'ENOENT' });
  });
}

scoped('a doubt refuses a patch, unless the user vouches for it', { seconds: 45, skip }, async (scope) => {
  const compile = async (name: string, enumerators: string): Promise<string> => {
    const source = join(scope.folder, 'state.c');
    await writeFile(source, `enum state { ${enumerators} } s; int idle(void) { return s == IDLE; }`);
    const object = join(scope.folder, `${name}.o`);
    await execute('gcc', ['-O2', '-g', '-ffunction-sections', '-fdata-sections', '-c', source, '-o', object]);
    return object;
  };
  const objects = ['--old', await compile('old', 'IDLE, BUSY'), '--new', await compile('new', 'BUSY, IDLE')];
  const build = ['patch', 'build', ...objects, '--output', join(scope.folder, 'state.atlas')];
  const { status, stderr } = await scope.cli(build);
  assert.equal(status, EXIT_CODE.refused);
  assert.match(stderr, /enum state: BUSY was 1 and is 0, IDLE was 0 and is 1[^]*--accept enumerators/);
  const { stdout } = await scope.cli([...build, '--accept', 'enumerators']);
  assert.match(stdout, /warning +state\.c +accepted \(enumerators\): enum state: BUSY was 1 and is 0/);
});

scoped('two equal builds make no patch', { seconds: 20, skip }, async (scope) => {
  const object = await builds.object(1);
  const same = ['--old', object, '--new', object, '--output', join(scope.folder, 'same.atlas')];
  assert.equal((await scope.cli(['patch', 'build', ...same])).status, EXIT_CODE['nothing-to-do']);
});
