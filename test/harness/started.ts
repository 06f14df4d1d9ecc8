import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';

export interface StartOptions {
  env: Record<string, string>;
  /** Where it starts, and where its output is kept. */
  folder: string;
  label: string;
  /** A file to read from; without it, standard input is empty. */
  input?: string | undefined;
  user?: { uid: number; gid: number } | undefined;
}

/** How something ended, as a shell tells it: 128 + n for death by signal n. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/**
 * A process that a test has started. Its output goes to files, not to pipes: a daemon that it leaves
 * behind would keep a pipe open, and then nobody could tell the end of the output.
 */
export class Started {
  readonly pid: number;
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;
  readonly #output: { stdout: string; stderr: string };

  private constructor(child: ChildProcess, output: { stdout: string; stderr: string }) {
    this.#child = child;
    this.#output = output;
    this.pid = child.pid!;
    this.ended = once(child, 'exit').then(([code, signal]) =>
      signal === null ? (code as number) : 128 + constants.signals[signal as NodeJS.Signals],
    );
    this.ended.catch(() => {});
  }

  static async start(argv: readonly string[], options: StartOptions): Promise<Started> {
    const base = join(options.folder, options.label);
    const output = { stdout: `${base}.stdout`, stderr: `${base}.stderr` };
    const input = await open(options.input ?? '/dev/null', 'r');
    const stdout = await open(output.stdout, 'w');
    const stderr = await open(output.stderr, 'w');
    try {
      const child = spawn(argv[0]!, argv.slice(1), {
        cwd: options.folder,
        env: options.env,
        stdio: [input.fd, stdout.fd, stderr.fd],
        ...options.user,
      });
      await once(child, 'spawn');
      return new Started(child, output);
    } finally {
      await Promise.all([input.close(), stdout.close(), stderr.close()]);
    }
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  stdout(): Promise<string> {
    return readFile(this.#output.stdout, 'utf8');
  }

  stderr(): Promise<string> {
    return readFile(this.#output.stderr, 'utf8');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async outcome(): Promise<Outcome> {
    const status = await this.ended;
    return { status, stdout: await this.stdout(), stderr: await this.stderr() };
  }
}
