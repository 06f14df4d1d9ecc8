/** The program `workers.c` under Atlas: what its threads publish, and the patches of its versions. */
import { execFile } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AtlasClient } from '../../src/api/client.js';
import type { AppliedPatch, PatchStrategy } from '../../src/supervisor/protocol.js';
import type { Scope } from '../harness/scope.js';
import type { Started } from '../harness/started.js';
import type { Builds } from './builds.js';
import { readRecords } from './records.js';

export const CALLERS = [0, 1, 2];
export const GRINDER = 3;
export const READER = 4;
export const WAITER = 5;
const THREADS = 6;
/** Those that never sleep for long. */
export const AWAKE = [...CALLERS, GRINDER];

/** One thread's `struct record`. */
const FIELDS = ['tid', 'calls', 'newest', 'backwards', 'torn'] as const;
type Findings = Record<(typeof FIELDS)[number], number>;

export class Workers {
  private constructor(
    readonly folder: string,
    readonly started: Started,
    readonly client: AtlasClient,
    readonly pid: number,
  ) {}

  /** @param before a command that executes its arguments */
  static async start(
    scope: Scope,
    builds: Builds,
    name = 'workers',
    before: readonly string[] = [],
  ): Promise<Workers> {
    const file = join(scope.folder, 'records');
    const fifo = join(scope.folder, 'fifo');
    await writeFile(file, '');
    await promisify(execFile)('mkfifo', [fifo]);
    const started = await scope.atlas([...before, builds.executable, file, fifo], { name });
    while (!(await readRecords(file, THREADS, FIELDS)).every(({ tid }) => tid > 0)) {
      if (!started.running) throw new Error(`ended early: ${await started.stderr()}`);
      await sleep(20);
    }
    const client = await scope.client(name);
    const { processes } = await client.request('ps', {});
    return new Workers(scope.folder, started, client, processes[0]!.pid);
  }

  records(): Promise<Findings[]> {
    return readRecords(join(this.folder, 'records'), THREADS, FIELDS);
  }

  /** Returns when these threads have called the function another two times since now. */
  async proceed(threads: readonly number[]): Promise<Findings[]> {
    const before = await this.records();
    for (;;) {
      const now = await this.records();
      if (threads.every((index) => now[index]!.calls >= before[index]!.calls + 2)) return now;
      await sleep(10);
    }
  }

  async apply(file: string, strategy: PatchStrategy, timeoutMilliseconds = 10_000): Promise<AppliedPatch> {
    const content = (await readFile(file)).toString('base64');
    return this.client.request('patch.apply', {
      process: `${this.pid}`,
      strategy,
      file,
      content,
      timeoutMilliseconds,
    });
  }

  wakeSleepers(): Promise<void> {
    return writeFile(join(this.folder, 'fifo'), '!');
  }

  /** The kernel's tasks of the process. */
  async tasks(): Promise<string[]> {
    return (await readdir(`/proc/${this.pid}/task`)).toSorted();
  }

  async end(): Promise<number> {
    process.kill(this.pid, 'SIGTERM');
    return this.started.ended;
  }
}
