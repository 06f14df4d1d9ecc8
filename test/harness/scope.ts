/**
 * A test's own little world: a folder, a runtime folder for supervisors, a mark on every process it starts,
 * and a watchdog. Whatever happens, nothing that it started survives it.
 */
import { randomUUID } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasClient, listRuns } from '../../src/api/client.js';
import { type User, atlasReadableBy } from './ordinary-user.js';
import { ATLAS } from './paths.js';
import { waitForPort } from './ports.js';
import { MARKER, describeTasks, kill, processesOfTest } from './proc.js';
import { type Outcome, Started } from './started.js';

const EVENT_LOG_TAIL = 25;
const EVENT_LENGTH = 240;
const GRACE_MILLISECONDS = 3000;

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
  user?: User | undefined;
  /** The run's name, for later commands. */
  name?: string;
}

export class Scope {
  readonly id = randomUUID();
  readonly folder: string;
  readonly runtimeFolder: string;
  /** Rejects when the watchdog fires; never resolves. */
  readonly expired: Promise<never>;
  readonly #watchdog: NodeJS.Timeout;
  readonly #started: Started[] = [];
  readonly #eventLogs: string[] = [];

  private constructor(
    readonly label: string,
    folder: string,
    seconds: number,
  ) {
    this.folder = folder;
    this.runtimeFolder = join(folder, 'runtime');
    const { promise, reject } = withRejecter();
    this.expired = promise;
    this.expired.catch(() => {});
    this.#watchdog = setTimeout(() => {
      this.report()
        .then((report) => reject(new Error(`"${label}" did not finish in ${seconds} s\n${report}`)), reject)
        .finally(() => this.#killAll());
    }, seconds * 1000);
  }

  static async open(label: string, seconds: number, user?: User): Promise<Scope> {
    const folder = await mkdtemp(join(tmpdir(), 'atlas-test-'));
    const scope = new Scope(label, folder, seconds);
    await chmod(folder, 0o755);
    await mkdir(scope.runtimeFolder, { mode: 0o700 });
    if (user !== undefined) {
      await chown(folder, user.uid, user.gid);
      await chown(scope.runtimeFolder, user.uid, user.gid);
    }
    return scope;
  }

  /** Where programs of `check.h` report that they are held. */
  get holdFolder(): string {
    return join(this.folder, 'hold');
  }

  get environment(): Record<string, string> {
    const { PATH = '/usr/bin:/bin', HOME = '/', LANG = 'C.UTF-8' } = process.env;
    return {
      PATH: `${PATH}:/usr/sbin:/sbin`,
      HOME,
      LANG,
      [MARKER]: this.id,
      ATLAS_RUNTIME_DIR: this.runtimeFolder,
    };
  }

  /** Starts a command as it is. */
  async native(argv: readonly string[], options: RunOptions = {}): Promise<Started> {
    const started = await Started.start(argv, {
      env: { ...this.environment, ...options.env },
      folder: this.folder,
      label: `${this.#started.length}`,
      input: options.input,
      user: options.user,
    });
    this.#started.push(started);
    return started;
  }

  /** Starts a command under Atlas; what is returned is the process that a shell would wait for. */
  async atlas(argv: readonly string[], options: RunOptions = {}): Promise<Started> {
    const log = join(this.folder, `${this.#started.length}.events`);
    this.#eventLogs.push(log);
    const tool = options.user === undefined ? ATLAS : await atlasReadableBy(options.user);
    const name = options.name === undefined ? [] : ['--name', options.name];
    const command = [process.execPath, '--enable-source-maps', tool, 'run', '--events', log];
    return this.native([...command, ...name, '--', ...argv], options);
  }

  async runNative(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return Promise.race([(await this.native(argv, options)).outcome(), this.expired]);
  }

  async runAtlas(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return Promise.race([(await this.atlas(argv, options)).outcome(), this.expired]);
  }

  /** Any other command of the tool, with `--json` or without, as its arguments say. */
  async cli(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const tool = options.user === undefined ? ATLAS : await atlasReadableBy(options.user);
    return this.runNative([process.execPath, '--enable-source-maps', tool, ...args], options);
  }

  /** A command that must succeed, and its JSON document. */
  async json<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
    const { status, stdout, stderr } = await this.cli([...args, '--json'], options);
    if (status !== 0) throw new Error(`atlas ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts a server, under Atlas when `under` says so, and waits until it accepts connections. */
  async server(
    under: 'native' | 'atlas',
    argv: readonly string[],
    port: number,
    options: RunOptions = {},
  ): Promise<Started> {
    const server = await (under === 'atlas' ? this.atlas(argv, options) : this.native(argv, options));
    await Promise.race([
      waitForPort(port, () => !server.running).catch(async (error: Error) => {
        throw new Error(`${error.message}\n${await server.stdout()}${await server.stderr()}`);
      }),
      this.expired,
    ]);
    return server;
  }

  /** The typed client of a run of this test. */
  async client(name: string): Promise<AtlasClient> {
    // The client finds supervisors by its own environment; the tests of one file run one after the other.
    process.env.ATLAS_RUNTIME_DIR = this.runtimeFolder;
    return Promise.race([AtlasClient.connect(name), this.expired]);
  }

  /** Fails with a report when something takes longer than it may, and ends what the test has started. */
  async within<T>(seconds: number, work: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const tooLong = sleep(seconds * 1000, undefined, { signal: stop.signal }).then(async () => {
      const report = await this.report();
      await this.#killAll();
      throw new Error(`not done in ${seconds} s\n${report}`);
    });
    tooLong.catch(() => {});
    try {
      return await Promise.race([work, tooLong, this.expired]);
    } finally {
      stop.abort();
    }
  }

  /** What the supervisors say that they wait for; one that does not answer is silent here. */
  async #diagnoses(): Promise<string[]> {
    process.env.ATLAS_RUNTIME_DIR = this.runtimeFolder;
    const parts: string[] = [];
    for (const { name } of await listRuns().catch(() => [])) {
      const signal = AbortSignal.timeout(GRACE_MILLISECONDS);
      const client = await AtlasClient.connect(name, { signal }).catch(() => undefined);
      const diagnosis = await client
        ?.request('diagnose', {}, { signal })
        .catch((error: Error) => ({ lines: [error.message] }));
      parts.push(`supervisor of ${name}:`, ...(diagnosis?.lines ?? ['does not answer']));
    }
    return parts;
  }

  /** What every task of this test is doing, and the last events of its supervisors. */
  async report(): Promise<string> {
    const parts = [await describeTasks(await processesOfTest(this.id, this.folder))];
    parts.push(...(await this.#diagnoses()));
    for (const log of this.#eventLogs) {
      const lines = (await readFile(log, 'utf8').catch(() => '')).trimEnd().split('\n');
      parts.push(
        `last events (${log}):`,
        ...lines.slice(-EVENT_LOG_TAIL).map((line) => line.slice(0, EVENT_LENGTH)),
      );
    }
    for (const file of (await readdir(this.folder)).filter((name) => name.endsWith('.stderr'))) {
      const content = await readFile(join(this.folder, file), 'utf8');
      if (content !== '') parts.push(`${file}:`, content.slice(-4000));
    }
    return parts.join('\n');
  }

  /** Ends the test: throws when something of it was still there. */
  async close(): Promise<void> {
    clearTimeout(this.#watchdog);
    try {
      await this.nothingIsLeft();
    } finally {
      await this.#killAll();
      await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** Ends the test after a failure: what it left unfinished is no news. */
  async abandon(): Promise<void> {
    clearTimeout(this.#watchdog);
    await this.#killAll();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** The supervisor of the run: the process that traces, not the one that the shell waits for. */
  async supervisor(): Promise<number> {
    for (;;) {
      for (const { pid } of await processesOfTest(this.id, this.folder))
        if (await isSupervisor(pid)) return pid;
      await sleep(5);
    }
  }

  /** Passes as soon as no process of the test is alive, and fails when that takes too long. */
  async nothingIsLeft(): Promise<void> {
    const deadline = Date.now() + GRACE_MILLISECONDS;
    for (;;) {
      const left = await processesOfTest(this.id, this.folder);
      if (left.length === 0) return;
      if (Date.now() > deadline) throw new Error(`"${this.label}" left behind:\n${await this.report()}`);
      await sleep(50);
    }
  }

  /** Supervisors first: their end ends what they trace, stopped or not. */
  async #killAll(): Promise<void> {
    for (const { pid } of await processesOfTest(this.id, this.folder)) if (await isSupervisor(pid)) kill(pid);
    for (const started of this.#started) if (started.running) started.kill('SIGKILL');
    for (let attempt = 0; attempt < 50; attempt++) {
      const left = await processesOfTest(this.id, this.folder);
      if (left.length === 0) return;
      for (const { pid } of left) kill(pid);
      await sleep(20);
    }
  }
}

/** A test with a scope of its own; it fails when it takes too long or leaves something behind. */
export function scoped(
  name: string,
  options: { seconds: number; user?: () => Promise<User | undefined>; skip?: string | false },
  body: (scope: Scope, user: User | undefined) => Promise<void>,
): void {
  test(name, { skip: options.skip ?? false }, async () => {
    const user = await options.user?.();
    const scope = await Scope.open(name, options.seconds, user);
    try {
      await Promise.race([body(scope, user), scope.expired]);
    } catch (error) {
      await scope.abandon();
      throw error;
    }
    await scope.close();
  });
}

async function isSupervisor(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  // It sets its title once its control socket has a name.
  return /^atlas |run\/supervisor\.js/.test(command);
}

function withRejecter(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_, rejectIt) => {
    reject = rejectIt;
  });
  return { promise, reject };
}
