import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AtlasClient, AtlasError } from '../../src/api/client.js';
import { mustRun, run } from '../build/command.js';
import { repositoryRoot } from '../build/target.js';

const START_MILLISECONDS = 15_000;
const END_MILLISECONDS = 5_000;

export function atlasCommand(...parameters: string[]): string[] {
  return [process.execPath, join(repositoryRoot(), 'bin/atlas.js'), ...parameters];
}

/** What follows `--` is not for us. */
function withJson(parameters: string[]): string[] {
  const end = parameters.indexOf('--');
  return end < 0 ? [...parameters, '--json'] : parameters.toSpliced(end, 0, '--json');
}

/** Runs an `atlas` command with `--json` and answers its document; its own words when it fails. */
export async function atlas<T>(...parameters: string[]): Promise<T> {
  const result = await run(atlasCommand(...withJson(parameters)), { timeoutMilliseconds: 120_000 });
  if (result.code !== 0)
    throw new AtlasError(
      'internal',
      `\`atlas ${parameters.join(' ')}\` ended with code ${result.code}:\n${(result.stderr + result.stdout).trim()}`,
    );
  return JSON.parse(result.stdout) as T;
}

/** Answers the names of the functions that the patch replaces. */
export async function buildPatch(oldObjects: string, newObjects: string, file: string): Promise<string[]> {
  await mustRun(atlasCommand('patch', 'build', '--old', oldObjects, '--new', newObjects, '-o', file));
  const { replaced } = await atlas<{ replaced: { symbol: string }[] }>('patch', 'inspect', file);
  return replaced.map(({ symbol }) => symbol);
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function untilEnded(pids: number[], milliseconds: number): Promise<boolean> {
  const deadline = Date.now() + milliseconds;
  while (pids.some(isAlive) && Date.now() < deadline) await sleep(20);
  return !pids.some(isAlive);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Waits until somebody accepts connections on the port; `isGone` says when waiting has no sense any more. */
export async function untilListening(port: number, isGone: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + START_MILLISECONDS;
  while (!(await accepts(port))) {
    if (isGone()) throw new AtlasError('internal', `${what} ended before it listened on port ${port}`);
    if (Date.now() > deadline)
      throw new AtlasError('not-finished', `${what} did not listen on port ${port} within 15 s`);
    await sleep(20);
  }
}

/** A server that was started with `atlas run --detach`. */
export class SupervisedServer {
  #stopping: Promise<void> | undefined;

  private constructor(
    readonly name: string,
    readonly client: AtlasClient,
  ) {}

  /** The server's own output goes into a file of `folder`. */
  static async start(
    name: string,
    command: string[],
    port: number,
    folder: string,
  ): Promise<SupervisedServer> {
    const log = join(folder, `${name}.log`);
    await atlas('run', '--detach', '--name', name, '--log', log, '--', ...command);
    const server = new SupervisedServer(name, await AtlasClient.connect(name));
    try {
      await untilListening(port, () => !isAlive(server.client.info.supervisorPid), name);
    } catch (error) {
      await server.stop().catch(() => {});
      const said = await readFile(log, 'utf8').catch(() => '');
      throw new AtlasError('internal', `${(error as Error).message}\n${said.trim()}`, '', { cause: error });
    }
    return server;
  }

  get pid(): number {
    return this.client.info.pid;
  }

  get supervisorPid(): number {
    return this.client.info.supervisorPid;
  }

  /** Ends the server the way its user would, and both it and its supervisor the hard way if that does not help. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  async #end(): Promise<void> {
    const { pid, supervisorPid } = this.client.info;
    const pids = [pid, supervisorPid].filter((candidate) => candidate > 0);
    if (isAlive(pid)) process.kill(pid, 'SIGTERM');
    if (await untilEnded(pids, END_MILLISECONDS)) return;
    for (const survivor of pids) if (isAlive(survivor)) process.kill(survivor, 'SIGKILL');
    await untilEnded(pids, END_MILLISECONDS);
    throw new AtlasError('internal', `${this.name} or its supervisor did not end on SIGTERM and was killed`);
  }
}

/** Does something with a server and stops it. That it would not stop is no news when something else went wrong. */
export async function whileItRuns<T>(server: { stop(): Promise<void> }, body: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await body();
  } catch (error) {
    await server.stop().catch(() => {});
    throw error;
  }
  await server.stop();
  return result;
}
