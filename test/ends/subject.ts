/** A program of this folder under Atlas, and what its end was. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AtlasClient, AtlasError, type FailureKind } from '../../src/api/client.js';
import type { OperationName, Parameters, Result } from '../../src/supervisor/protocol.js';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';
import type { RunOptions, Scope } from '../harness/scope.js';
import type { Started } from '../harness/started.js';

const NAME = 'subject';
const OUR_OWN: ReadonlySet<FailureKind> = new Set(['internal', 'unsupported-machine', 'bad-input']);

/** The answer, or undefined when it was refused for a reason that is the user's or the program's. */
export async function answerOf<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof AtlasError) || OUR_OWN.has(error.kind)) throw error;
    assert.doesNotMatch(error.message, /NaN|undefined|defect|\.[jt]s:\d/);
    assert.doesNotMatch(error.message, /supervisor/i, 'the run itself has ended');
    return undefined;
  }
}

export class Subject {
  private constructor(
    readonly scope: Scope,
    readonly started: Started,
    readonly client: AtlasClient,
    readonly pid: number,
  ) {}

  /** The program's first argument is the file whose presence ends it. It says "ready". */
  static async start(
    scope: Scope,
    file: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<Subject> {
    const program = await compileC(join(PROJECT, 'test/ends', file));
    return Subject.run(scope, [program, join(scope.folder, 'end'), ...args], options);
  }

  static async run(scope: Scope, argv: readonly string[], options: RunOptions = {}): Promise<Subject> {
    const started = await scope.atlas(argv, { ...options, name: NAME });
    while (!(await started.stdout()).includes('ready\n')) {
      assert.ok(started.running, `${await started.stdout()}${await started.stderr()}`);
      await sleep(10);
    }
    const client = await scope.client(NAME);
    const { processes } = await client.request('ps', {});
    return new Subject(scope, started, client, processes[0]!.pid);
  }

  request<N extends OperationName>(
    operation: N,
    parameters: Omit<Parameters<N>, 'process'>,
    process: string = NAME,
  ): Promise<Result<N>> {
    return this.client.request(operation, { process, ...parameters } as unknown as Parameters<N>);
  }

  async create(): Promise<number> {
    return (await this.request('generation.create', {})).generation;
  }

  /** The host process that embodies a generation. */
  async hostOf(generation: number): Promise<number> {
    for await (const event of this.client.events())
      if (event.event === 'generation-created' && event.generation === generation)
        return event.host as number;
    throw new Error(`no generation ${generation} was made`);
  }

  /** Returns when the program has said it so many times. */
  async says(line: string, times = 1): Promise<void> {
    while ((await this.started.stdout()).split(`${line}\n`).length <= times) {
      assert.ok(this.started.running, `${await this.started.stdout()}${await this.started.stderr()}`);
      await sleep(5);
    }
  }

  /** Gives the program a sign: the file END.SUFFIX. */
  sign(suffix: string): Promise<void> {
    return writeFile(join(this.scope.folder, `end.${suffix}`), '');
  }

  /** Moves all threads, and expects all to have moved. */
  async moveAll(to: number): Promise<void> {
    const { pending } = await this.request('migrate', { to });
    assert.deepEqual(pending, []);
  }

  /** Tells the program to end, and expects it to have found nothing wrong. */
  async end(): Promise<void> {
    await writeFile(join(this.scope.folder, 'end'), '');
    const { status, stdout, stderr } = await this.started.outcome();
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, stdout);
    assert.match(stdout, /^ready\n([a-z]+\n)*all right\n$/);
  }

  /** Does `work`; if it fails because the program has ended, that end is what the failure says. */
  async watch(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await Promise.race([this.started.ended, sleep(500)]);
      if (this.started.running) throw error;
      const { status, stdout, stderr } = await this.started.outcome();
      throw new Error(`${(error as Error).message}\nthe program ended with ${status}\n${stdout}${stderr}`, {
        cause: error,
      });
    }
    await this.end();
  }
}
