/**
 * A call that sleeps until its time-out returns when it would natively, and what it would natively, however often its
 * thread is moved or held meanwhile.
 */
import assert from 'node:assert/strict';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AtlasClient } from '../../src/api/client.js';
import { compileC } from '../harness/compile.js';
import { Scope } from '../harness/scope.js';
import { source } from './builds.js';

const NAME = 'timed';
const MILLISECONDS = 3000;
/** Of a call's time-out, at which its thread is moved: late, so that a time-out that starts anew is seen. */
const MOMENTS = [1000, 1600, 2200];

interface Variant {
  name: string;
  /** Where its calls begin. */
  from: 'home' | 'generation';
  moves: number;
}

const VARIANTS: readonly Variant[] = [
  ...(['home', 'generation'] as const).flatMap((from) =>
    [1, 2, 3].map((moves) => ({ name: `${from}-${moves}`, from, moves })),
  ),
  { name: 'home-forks', from: 'home', moves: 0 },
  { name: 'generation-forks', from: 'generation', moves: 0 },
];

/** The program's processes, one for each variant, that sleep at the same time. */
class Sleepers {
  constructor(
    readonly scope: Scope,
    readonly folder: string,
  ) {}

  async untilThere(name: string): Promise<string> {
    const path = join(this.folder, name);
    while (!(await exists(path))) await sleep(5);
    return (await readFile(path, 'latin1')).trim();
  }

  go(variant: string): Promise<void> {
    return writeFile(join(this.folder, `${variant}.go`), '');
  }

  /** What each call's line says. */
  async lines(variant: string): Promise<Map<string, string>> {
    const text = await readFile(join(this.folder, `${variant}.out`), 'latin1');
    const lines = new Map<string, string>();
    for (const line of text.trimEnd().split('\n')) {
      const name = line.split(':', 1)[0]!;
      lines.set(name, lines.has(name) ? `${lines.get(name)}\n${line}` : line);
    }
    return lines;
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function moveAll(client: AtlasClient, process: string): Promise<void> {
  const { generation } = await client.request('generation.create', { process });
  // Whoever cannot be moved now stays where it is: what its call returns is the same.
  await client.request('migrate', { process, to: generation, timeoutMilliseconds: 50 });
}

async function startFolder(scope: Scope, label: string): Promise<Sleepers> {
  const folder = join(scope.folder, label);
  await mkdir(folder);
  return new Sleepers(scope, folder);
}

async function runNatively(scope: Scope, program: string): Promise<Map<string, string>> {
  const sleepers = await startFolder(scope, 'native');
  await sleepers.go('native');
  const run = await scope.runNative([program, 'all', `${MILLISECONDS}`, sleepers.folder, 'native']);
  assert.equal(run.status, 0, run.stdout);
  return sleepers.lines('native');
}

async function runVariants(scope: Scope, program: string): Promise<Map<string, Map<string, string>>> {
  const sleepers = await startFolder(scope, 'atlas');
  const names = VARIANTS.map(({ name }) => name);
  const started = await scope.atlas([program, 'all', `${MILLISECONDS}`, sleepers.folder, ...names], {
    name: NAME,
  });
  const pids = new Map<string, string>();
  for (const name of names) pids.set(name, await sleepers.untilThere(`${name}.pid`));
  const client = await scope.client(NAME);
  for (const { name, from } of VARIANTS) if (from === 'generation') await moveAll(client, pids.get(name)!);
  await Promise.all(
    VARIANTS.map(async ({ name, moves }) => {
      await sleepers.go(name);
      await sleepers.untilThere(`${name}.asleep`);
      const asleep = performance.now();
      for (const moment of MOMENTS.slice(MOMENTS.length - moves)) {
        await sleep(asleep + moment - performance.now());
        await moveAll(client, pids.get(name)!);
      }
    }),
  );
  const { status, stdout, stderr } = await started.outcome();
  assert.equal(status, 0, stdout + stderr);
  const all = new Map<string, Map<string, string>>();
  for (const name of names) all.set(name, await sleepers.lines(name));
  return all;
}

const KNOWN: Readonly<Record<string, string>> = {
  sigtimedwait:
    'limits.md, Generations and migration: an ignored signal ends the wait of a task that is traced',
};

describe('calls with a time-out', () => {
  const CALLS = [
    'nanosleep',
    'nanosleep in place',
    'clock_nanosleep',
    'clock_nanosleep until',
    'poll',
    'ppoll',
    'ppoll masked',
    'select',
    'select constant',
    'pselect',
    'pselect masked',
    'epoll_wait',
    'epoll_pwait masked',
    'epoll_pwait2',
    'sem_timedwait',
    'cond_timedwait',
    'futex',
    'futex shared',
    'futex until',
    'mutex inheriting',
    'sigtimedwait',
    'recv',
    'read of a socket',
    'send',
    'accept',
    'connect',
    'semtimedop',
    'mq_timedreceive',
    'mq_timedsend',
    'io_getevents',
    'timerfd',
  ];
  let native = new Map<string, string>();
  let variants = new Map<string, Map<string, string>>();
  before(async () => {
    const program = await compileC(source('timed.c'));
    const scope = await Scope.open('calls with a time-out', 60);
    try {
      const runs = Promise.all([runNatively(scope, program), runVariants(scope, program)]);
      [native, variants] = await Promise.race([runs, scope.expired]);
    } catch (error) {
      await scope.abandon();
      throw error;
    }
    await scope.close();
  });
  after(() => {
    native.clear();
    variants.clear();
  });
  for (const call of CALLS) {
    it(call, { todo: KNOWN[call] ?? false }, () => {
      assert.match(native.get(call)!, /in time$/, 'natively');
      const wrong = VARIANTS.filter(({ name }) => variants.get(name)!.get(call) !== native.get(call));
      const report = wrong.map(({ name }) => `${name}: ${variants.get(name)!.get(call)}`);
      assert.deepEqual(report, [], `natively: ${native.get(call)}`);
    });
  }
});

const LOOP_MILLISECONDS = 1500;
/** Five times the longest call: whoever is woken by its return has moved by then. */
const PATIENCE = 5 * LOOP_MILLISECONDS;

it('a thread that makes such calls over and over moves when one of them returns', async () => {
  const program = await compileC(source('timed.c'));
  const scope = await Scope.open('loops', 60);
  try {
    const sleepers = await startFolder(scope, 'loops');
    const started = await scope.atlas([program, 'loops', `${LOOP_MILLISECONDS}`, sleepers.folder], {
      name: NAME,
    });
    await sleepers.untilThere('loops.pid');
    const client = await scope.client(NAME);
    await moveAll(client, NAME);
    await sleepers.go('loops');
    await sleepers.untilThere('loops.asleep');
    const { generation } = await client.request('generation.create', { process: NAME });
    const { pending } = await client.request('migrate', {
      process: NAME,
      to: generation,
      timeoutMilliseconds: PATIENCE,
    });
    await writeFile(join(sleepers.folder, 'loops.end'), '');
    const { status } = await started.outcome();
    assert.deepEqual(
      pending.map(({ reason }) => reason),
      [],
    );
    assert.equal(status, 0);
    const lines = await sleepers.lines('loops');
    assert.deepEqual(
      [...lines.values()].filter((line) => !line.endsWith('in time')),
      [],
    );
  } catch (error) {
    await scope.abandon();
    throw error;
  }
  await scope.close();
});
