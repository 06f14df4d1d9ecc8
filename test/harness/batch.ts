/**
 * Many test programs in one run: starting a supervisor for each would take longer than the programs do. The
 * driver program runs them one after the other; this side watches it, and goes on after a casualty.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileProgram } from './compile.js';
import { describeTasks, kill, processesOfTest } from './proc.js';
import { Scope } from './scope.js';
import type { Started } from './started.js';

export interface ProgramResult {
  /** As wait(2) reports it: with the core-dump flag. Undefined when nobody was there to wait. */
  waitStatus: number | undefined;
  stdout: string;
  stderr: string;
  /** What went wrong around the program: it hung, or its supervisor died. */
  trouble: string;
}

export interface BatchOptions {
  secondsEach: number;
  /** Programs wait before their `main` until `letGo`. */
  hold?: boolean;
  /** Called once per supervisor, as soon as it runs. */
  whileRunning?: (scope: Scope, signal: AbortSignal) => Promise<void>;
}

export async function runBatch(
  under: 'native' | 'atlas',
  names: readonly string[],
  options: BatchOptions,
): Promise<Map<string, ProgramResult>> {
  const driver = await compileProgram('driver');
  const programs = new Map<string, string>();
  for (const name of names) programs.set(name, await compileProgram(name));
  const results = new Map<string, ProgramResult>();
  for (let left = [...names]; left.length > 0; left = left.filter((name) => !results.has(name))) {
    const scope = await Scope.open(
      `batch of ${left.length} programs`,
      left.length * options.secondsEach + 30,
    );
    const batch = new Batch(scope, left, options.secondsEach);
    const stop = new AbortController();
    try {
      const argv = [driver, batch.folder, ...left.map((name) => programs.get(name)!)];
      await mkdir(batch.folder);
      await mkdir(scope.holdFolder);
      const env: Record<string, string> = options.hold ? { ATLAS_TEST_HOLD: scope.holdFolder } : {};
      const run = { env, name: 'batch' };
      const started = await (under === 'atlas' ? scope.atlas(argv, run) : scope.native(argv, run));
      const helper = options.whileRunning?.(scope, stop.signal).catch((error: Error) => batch.blame(error));
      await batch.watch(started);
      stop.abort();
      await helper;
      for (const [name, result] of await batch.results()) results.set(name, result);
    } finally {
      stop.abort();
      // What is left over belongs to a program that failed already, and is ended here.
      await scope.close().catch((error: Error) => batch.blameLast(results, error.message));
    }
  }
  return results;
}

class Batch {
  readonly folder: string;
  readonly #trouble = new Map<string, string>();

  constructor(
    readonly scope: Scope,
    readonly names: readonly string[],
    readonly secondsEach: number,
  ) {
    this.folder = join(scope.folder, 'results');
  }

  /** Until the driver ends: a program that takes too long is described and killed. */
  async watch(driver: Started): Promise<void> {
    let current: string | undefined;
    let since = Date.now();
    let struck = false;
    while (driver.running) {
      await sleep(20);
      const name = await this.#unfinished();
      if (name !== current) {
        current = name;
        since = Date.now();
        struck = false;
      } else if (Date.now() - since > this.secondsEach * 1000) {
        const culprit = current ?? this.names[0]!;
        if (struck || current === undefined) {
          const report = struck ? 'killing it did not help' : `nothing started\n${await this.scope.report()}`;
          this.#note(culprit, `${report}\nthe supervisor was killed`);
          driver.kill('SIGKILL');
          await driver.ended;
          return;
        }
        this.#note(culprit, `took longer than ${this.secondsEach} s\n${await this.scope.report()}`);
        struck = true;
        since = Date.now();
        const pid = Number(await this.#file(culprit, 'pid'));
        if (pid > 0) kill(pid);
      }
    }
    const status = await driver.ended;
    const victim = await this.#unfinished();
    if (status === 0 && victim === undefined) return;
    const about = `the driver ended with ${status}\n${await driver.stdout()}${await driver.stderr()}`;
    const left = await describeTasks(await processesOfTest(this.scope.id, this.scope.folder));
    this.#note(victim ?? (await this.#next()) ?? this.names.at(-1)!, `${about}\n${left}`);
  }

  async results(): Promise<Map<string, ProgramResult>> {
    const results = new Map<string, ProgramResult>();
    for (const name of this.names) {
      const status = await this.#file(name, 'status');
      const trouble = this.#trouble.get(name) ?? '';
      if (status === '' && trouble === '') continue;
      results.set(name, {
        waitStatus: status === '' ? undefined : Number(status),
        stdout: await this.#file(name, 'stdout'),
        stderr: await this.#file(name, 'stderr'),
        trouble,
      });
    }
    return results;
  }

  blameLast(results: Map<string, ProgramResult>, trouble: string): void {
    const last = [...results.values()].at(-1);
    if (last !== undefined) last.trouble += trouble;
  }

  #note(name: string, trouble: string): void {
    this.#trouble.set(name, `${this.#trouble.get(name) ?? ''}${trouble}\n`);
  }

  /** The helper failed: that is told with the program that waits for it. */
  async blame(error: Error): Promise<void> {
    this.#note((await this.#unfinished()) ?? this.names.at(-1)!, error.stack ?? error.message);
  }

  /** The program that has started and not ended. */
  async #unfinished(): Promise<string | undefined> {
    for (const name of this.names) {
      if ((await this.#file(name, 'pid')) !== '' && (await this.#file(name, 'status')) === '') return name;
    }
    return undefined;
  }

  async #next(): Promise<string | undefined> {
    for (const name of this.names) if ((await this.#file(name, 'pid')) === '') return name;
    return undefined;
  }

  #file(name: string, kind: string): Promise<string> {
    return readFile(join(this.folder, `${name}.${kind}`), 'latin1').catch(() => '');
  }
}

/** Lets a held program (see `check.h`) go on into its `main`. */
export async function letGo(folder: string, pid: number): Promise<void> {
  await writeFile(join(folder, `${pid}.go`), '');
}
