/** One supervisor for all cases: it starts their programs one after the other, and patches them. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AtlasClient } from '../../../src/api/client.js';
import type { AppliedPatch } from '../../../src/supervisor/protocol.js';
import { kill } from '../../harness/proc.js';
import { Scope } from '../../harness/scope.js';
import type { Started } from '../../harness/started.js';

const THREADS = 3;
const DEADLINE_SECONDS = 30;
const SHELL = 'while read -r program output; do "$program" > "$output" 2>&1 < /dev/null & done';

/** What the three threads of a program have printed. */
export interface Seen {
  pid: number | undefined;
  /** By thread, in order. */
  lines: string[][];
  /** What is no line of a thread: a crash report. */
  others: string[];
}

export class Stage {
  #programs = 0;

  private constructor(
    readonly scope: Scope,
    readonly client: AtlasClient,
    readonly supervisor: Started,
    readonly orders: number,
  ) {}

  static async open(seconds: number): Promise<Stage> {
    const scope = await Scope.open('the battery of patches', seconds);
    const fifo = join(scope.folder, 'orders');
    execFileSync('mkfifo', [fifo]);
    // Open for both, so that opening does not wait for the other side.
    const orders = openSync(fifo, 'r+');
    const supervisor = await scope.atlas(['/bin/sh', '-c', SHELL], { name: 'stage', input: fifo });
    return new Stage(scope, await connect(scope, supervisor), supervisor, orders);
  }

  /** Runs a program until every thread of it has seen something. */
  async start(executable: string): Promise<Performance> {
    const output = join(this.scope.folder, `program-${this.#programs++}`);
    writeSync(this.orders, `${executable} ${output}\n`);
    const performance = new Performance(this, output);
    await performance.until('to start', ({ pid, lines }) => pid !== undefined && lines.every((of) => of[0]));
    return performance;
  }

  async close(): Promise<void> {
    closeSync(this.orders);
    await this.scope.close();
  }
}

/** One program on the stage. */
export class Performance {
  constructor(
    readonly stage: Stage,
    readonly output: string,
  ) {}

  async seen(): Promise<Seen> {
    const text = await readFile(this.output, 'latin1').catch(() => '');
    const seen: Seen = { pid: undefined, lines: Array.from({ length: THREADS }, () => []), others: [] };
    for (const line of text.split('\n').slice(0, -1)) {
      const [, first, rest] = /^(pid|\d) (.*)$/.exec(line) ?? [];
      if (first === undefined) seen.others.push(line);
      else if (first === 'pid') seen.pid = Number(rest);
      else seen.lines[Number(first)]!.push(rest!);
    }
    return seen;
  }

  /** Waits for that; throws when the program ends or time is over. */
  async until(what: string, holds: (seen: Seen) => boolean): Promise<Seen> {
    const deadline = Date.now() + DEADLINE_SECONDS * 1000;
    for (;;) {
      const seen = await this.seen();
      if (holds(seen)) return seen;
      const isGone = seen.pid !== undefined && !(await isAlive(seen.pid));
      if (isGone || Date.now() > deadline) {
        const how = isGone ? 'the program ended' : `not in ${DEADLINE_SECONDS} s`;
        throw new Error(`${how}, waiting for it ${what}: ${JSON.stringify(await this.seen())}`);
      }
      await sleep(5);
    }
  }

  async apply(patch: Uint8Array): Promise<AppliedPatch> {
    return this.stage.client.request('patch.apply', {
      process: `${(await this.seen()).pid}`,
      strategy: 'local',
      file: 'battery.atlas',
      content: Buffer.from(patch).toString('base64'),
      timeoutMilliseconds: DEADLINE_SECONDS * 1000,
    });
  }

  async end(): Promise<void> {
    const { pid } = await this.seen();
    if (pid !== undefined) kill(pid);
  }
}

async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => 'State: X');
  return !/^State:\s+[XZ]/m.test(status);
}

/** The supervisor has a socket a moment after it was started. */
async function connect(scope: Scope, supervisor: Started): Promise<AtlasClient> {
  for (;;) {
    try {
      return await scope.client('stage');
    } catch (error) {
      if (!supervisor.running) throw new Error(await supervisor.stderr(), { cause: error });
      await sleep(20);
    }
  }
}
