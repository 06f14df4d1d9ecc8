import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasError } from '../src/errors/atlas-error.js';
import { mustRun } from '../examples/build/command.js';
import { repositoryRoot, requireCompiler } from '../examples/build/target.js';
import type { Cleanup } from '../examples/demo/cleanup.js';
import { SupervisedServer, isAlive, untilEnded, untilListening } from '../examples/demo/supervised.js';

export interface BenchOptions {
  quick: boolean;
  /** Names of servers or programs to keep; empty: all. */
  servers: string[];
}

/** A server that the bench started, natively or under Atlas. */
export interface Server {
  /** Under Atlas: the process whose CPU time is the price of what is trapped. */
  readonly supervisorPid?: number;
  stop(): Promise<void>;
}

/** What all sub-benches share: options, a folder for temporary files, built programs, and ways to start servers. */
export class BenchContext {
  readonly #programs = new Map<string, Promise<string>>();
  #names = 0;

  constructor(
    readonly options: BenchOptions,
    readonly folder: string,
    readonly cleanup: Cleanup,
    readonly progress: (text: string) => void,
  ) {}

  async subfolder(name: string): Promise<string> {
    const path = join(this.folder, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  /** Compiles `bench/programs/NAME.c` once; answers the executable's path. */
  program(name: string): Promise<string> {
    let built = this.#programs.get(name);
    if (built === undefined) {
      built = this.#compile(name);
      this.#programs.set(name, built);
    }
    return built;
  }

  async #compile(name: string): Promise<string> {
    await requireCompiler();
    const executable = join(await this.subfolder('programs'), name);
    const source = join(repositoryRoot(), 'bench/programs', `${name}.c`);
    await mustRun(['gcc', '-O2', '-Wall', '-Wextra', '-pthread', source, '-o', executable]);
    return executable;
  }

  /** Starts a server and waits until it listens on the port. */
  async start(command: string[], port: number, underAtlas: boolean): Promise<Server> {
    const server = underAtlas ? await this.supervise(command, port) : await startNatively(command, port);
    this.cleanup.add(() => server.stop());
    return server;
  }

  async supervise(command: string[], port: number): Promise<SupervisedServer> {
    const server = await SupervisedServer.start(
      `bench-${process.pid}-${++this.#names}`,
      command,
      port,
      this.folder,
    );
    this.cleanup.add(() => server.stop());
    return server;
  }
}

async function startNatively(command: string[], port: number): Promise<Server> {
  // In a session of its own, as the other side's server is: where the kernel groups tasks by session for the
  // scheduler (sched(7), "The autogroup feature"), a server that shares its load's group gets another share.
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  let failure: string | undefined;
  child.on('error', (error) => (failure = error.message));
  child.on('exit', (code, signal) => (failure = `ended with ${signal ?? code}`));
  const stop = async (): Promise<void> => {
    const { pid } = child;
    if (pid === undefined || failure !== undefined) return;
    child.kill('SIGTERM');
    for (let waited = 0; failure === undefined && waited < 10_000; waited += 20) await sleep(20);
    if (failure !== undefined) return;
    child.kill('SIGKILL');
    await untilEnded([pid], 5_000);
  };
  try {
    await untilListening(port, () => failure !== undefined || !isAlive(child.pid!), command[0]!);
  } catch (error) {
    await stop();
    throw new AtlasError('internal', `${(error as Error).message}\n${said.join('').trim()}`);
  }
  return { stop };
}
