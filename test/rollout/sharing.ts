/** The program `sharing.c` under Atlas: its threads' views, and orders to them. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AtlasClient } from '../../src/api/client.js';
import type { OperationName, Parameters, Result } from '../../src/supervisor/protocol.js';
import { compileC } from '../harness/compile.js';
import type { Scope } from '../harness/scope.js';
import type { Started } from '../harness/started.js';
import { source } from './builds.js';
import { readRecords } from './records.js';

const NAME = 'sharing';
const FIELDS = ['tid', 'turns', 'seen_constant', 'seen_function', 'wrong_blocks'] as const;
export const WORKERS = [0, 1, 2, 3];
/** The record of a thread that a worker creates when it is told to. */
export const CHILD = 4;
type Findings = Record<(typeof FIELDS)[number], number>;

export class Sharing {
  private constructor(
    readonly scope: Scope,
    readonly started: Started,
    readonly client: AtlasClient,
  ) {}

  static async start(scope: Scope): Promise<Sharing> {
    const [records, fifo, log] = ['records', 'fifo', 'log'].map((name) => join(scope.folder, name));
    await writeFile(records!, '');
    await promisify(execFile)('mkfifo', [fifo!]);
    const started = await scope.atlas([await compileC(source('sharing.c')), records!, fifo!, log!], {
      name: NAME,
    });
    const threads = async (): Promise<Findings[]> => readRecords(records!, CHILD + 1, FIELDS);
    while ((await threads()).slice(0, CHILD).some(({ turns }) => turns === 0)) {
      if (!started.running) throw new Error(`ended early: ${await started.stderr()}`);
      await sleep(20);
    }
    return new Sharing(scope, started, await scope.client(NAME));
  }

  request<N extends OperationName>(
    operation: N,
    parameters: Omit<Parameters<N>, 'process'>,
  ): Promise<Result<N>> {
    return this.client.request(operation, { process: NAME, ...parameters } as unknown as Parameters<N>);
  }

  findings(): Promise<Findings[]> {
    return readRecords(join(this.scope.folder, 'records'), CHILD + 1, FIELDS);
  }

  /** What these threads have found since now: each has completed two more rounds. */
  async next(threads: readonly number[] = WORKERS): Promise<Findings[]> {
    const before = await this.findings();
    for (;;) {
      const now = await this.findings();
      if (threads.every((index) => now[index]!.turns >= before[index]!.turns + 2)) return now;
      await sleep(10);
    }
  }

  /** Lets a worker carry out a command of `sharing.c`. @returns what it found at the mapping afterwards */
  async order(worker: number, command: string): Promise<string> {
    const log = join(this.scope.folder, 'log');
    const before = (await readFile(log, 'utf8')).length;
    await writeFile(join(this.scope.folder, 'fifo'), `${command}${worker}`);
    for (;;) {
      const line = (await readFile(log, 'utf8')).slice(before);
      const match = /^(.) by (\d): (.*)\n$/.exec(line);
      if (match) {
        if (match[1] !== command || Number(match[2]) !== worker) throw new Error(`unexpected ${line}`);
        return match[3]!;
      }
      await sleep(10);
    }
  }

  async migrate(to: number, workers: readonly number[]): Promise<void> {
    const all = await this.findings();
    const threads = workers.map((index) => all[index]!.tid);
    const { pending } = await this.request('migrate', { to, threads });
    if (pending.length > 0) throw new Error(JSON.stringify(pending));
  }

  async generationOf(thread: number): Promise<number | undefined> {
    const { tid } = (await this.findings())[thread]!;
    const { threads } = await this.request('threads', {});
    return threads.find((candidate) => candidate.tid === tid)?.generation;
  }

  async end(): Promise<number> {
    await writeFile(join(this.scope.folder, 'fifo'), 'q0');
    return this.started.ended;
  }
}
