import type http from 'node:http';
import { AtlasError, EXIT_CODE, type FailureKind } from '../errors/atlas-error.js';
import type {
  OperationName,
  Parameters,
  ProcessInfo,
  Result,
  SupervisorEvent,
} from '../supervisor/protocol.js';
import { send, text } from './http-over-unix.js';
import { checkRunName, parseReference } from './run-name.js';
import {
  chooseRuntimeDirectory,
  existingRuntimeDirectory,
  runtimeDirectoryPath,
} from './runtime-directory.js';
import type { RunInfo } from './server.js';

export { AtlasError, EXIT_CODE, type FailureKind } from '../errors/atlas-error.js';
export type * from '../supervisor/protocol.js';
export type { RunInfo } from './server.js';

/** Loaded late: it needs the native module, without which `atlas doctor` must still work. */
const socketFiles = () => import('./socket-file.js');

/** A run whose supervisor listens. */
export interface LiveRun {
  name: string;
  socket: string;
}

/**
 * A connection to the supervisor of one run.
 *
 * ```ts
 * import { AtlasClient } from 'atlas';
 *
 * const client = await AtlasClient.connect('memcached');
 * const { generation } = await client.request('generation.create', { process: 'memcached' });
 * const { moved, pending } = await client.request('migrate', { process: 'memcached', to: generation });
 * ```
 */
export class AtlasClient {
  readonly info: RunInfo;
  /** The control socket's path, for people. */
  readonly socket: string;
  readonly #address: Address;

  private constructor(address: Address, socket: string, info: RunInfo) {
    this.#address = address;
    this.socket = socket;
    this.info = info;
  }

  /** Finds the run with that name; `no-such-process` when there is none. */
  static async connect(name: string, options: { signal?: AbortSignal } = {}): Promise<AtlasClient> {
    const directory = runtimeDirectoryPath();
    const address = { directory, name: checkRunName(name) };
    try {
      const answer = await ask(address, 'GET', '/v1/run', options);
      const info = await result(answer);
      return new AtlasClient(address, answer.socket, info as RunInfo);
    } catch (error) {
      if (error instanceof AtlasError && error.kind === 'no-such-process') {
        throw new AtlasError('no-such-process', `There is no run with the name "${name}".`, whereToLook(), {
          cause: error,
        });
      }
      throw error;
    }
  }

  /** Asks for one operation. Failures are `AtlasError`s with the kind that the supervisor gave them. */
  async request<N extends OperationName>(
    operation: N,
    parameters: Parameters<N>,
    options: { signal?: AbortSignal } = {},
  ): Promise<Result<N>> {
    const body = JSON.stringify(parameters);
    const answer = await ask(this.#address, 'POST', `/v1/${operation}`, { body, ...options });
    return (await result(answer)) as Result<N>;
  }

  /**
   * The run's events: the latest past ones (after number `since`), then new ones as they come. Ends when the
   * run ends, or when `signal` aborts.
   */
  async *events(options: { since?: number; signal?: AbortSignal } = {}): AsyncGenerator<SupervisorEvent> {
    const { signal } = options;
    const { response } = await ask(this.#address, 'GET', '/v1/events', {
      headers: { accept: 'text/event-stream', 'last-event-id': String(options.since ?? 0) },
      ...(signal ? { signal } : {}),
    });
    response.setEncoding('utf8');
    let buffered = '';
    try {
      for await (const chunk of response) {
        buffered += chunk as string;
        const messages = buffered.split('\n\n');
        buffered = messages.pop()!;
        for (const message of messages) {
          const data = message.split('\n').filter((line) => line.startsWith('data: '));
          if (data.length > 0)
            yield JSON.parse(data.map((line) => line.slice(6)).join('\n')) as SupervisorEvent;
        }
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (signal?.aborted || code === 'ECONNRESET') return;
      throw error;
    } finally {
      response.destroy();
    }
  }
}

/** Where a run is; the directory is opened and checked anew for every request. */
interface Address {
  directory: string;
  name: string;
}

interface Answer {
  response: http.IncomingMessage;
  socket: string;
}

const ALIVE = '`atlas ps` lists the runs that are alive.';

/** Somebody whose runs are another user's may look in the wrong place. */
function whereToLook(): string {
  const { note } = chooseRuntimeDirectory();
  return note === undefined ? ALIVE : `${ALIVE} ${note}`;
}

async function ask(
  { directory: path, name }: Address,
  method: 'GET' | 'POST',
  resource: string,
  options: { body?: string; headers?: Record<string, string>; signal?: AbortSignal },
): Promise<Answer> {
  const { connect, socketPath } = await socketFiles();
  using directory = existingRuntimeDirectory(path);
  if (!directory) throw new AtlasError('no-such-process', `There is no directory ${path}.`, ALIVE);
  const socket = socketPath(directory, name);
  const connection = await connect(directory, name, options.signal);
  return { response: await send(connection, socket, method, resource, options), socket };
}

async function result({ response, socket }: Answer): Promise<unknown> {
  const body = JSON.parse(await text(response, socket)) as { error?: unknown };
  if (response.statusCode === 200) return body;
  const error = body.error as { kind: FailureKind; message: string; advice: string };
  throw new AtlasError(
    Object.hasOwn(EXIT_CODE, error.kind) ? error.kind : 'internal',
    error.message,
    error.advice,
  );
}

/** The runs of this user that are alive. Sockets which dead supervisors left behind are removed. */
export async function listRuns(): Promise<LiveRun[]> {
  const { isAlive, removeDead, socketNames, socketPath } = await socketFiles();
  using directory = existingRuntimeDirectory();
  const runs: LiveRun[] = [];
  for (const name of directory ? socketNames(directory) : []) {
    if (isAlive(directory!, name)) runs.push({ name, socket: socketPath(directory!, name) });
    else removeDead(directory!, name);
  }
  return runs;
}

/** The processes of every run; a run that does not answer within `patience` is left out and named in `silent`. */
export async function listProcesses(
  patience = 3000,
): Promise<{ processes: ProcessInfo[]; silent: LiveRun[] }> {
  const silent: LiveRun[] = [];
  const perRun = await Promise.all(
    (await listRuns()).map(async (run) => {
      const signal = AbortSignal.timeout(patience);
      try {
        const client = await AtlasClient.connect(run.name, { signal });
        return (await client.request('ps', {}, { signal })).processes;
      } catch (error) {
        // A run that ended while it was being asked is no run any more.
        if (!(error instanceof AtlasError) || error.kind !== 'no-such-process') silent.push(run);
        return [];
      }
    }),
  );
  return { processes: perRun.flat(), silent };
}

/** What a process reference stands for: the client of its run, and the `process` to name in requests. */
export async function resolveProcess(reference: string): Promise<{ client: AtlasClient; process: string }> {
  const parsed = parseReference(reference);
  switch (parsed.kind) {
    case 'run':
      return { client: await AtlasClient.connect(parsed.name), process: parsed.name };
    case 'member':
      return { client: await AtlasClient.connect(parsed.name), process: String(parsed.pid) };
    case 'pid': {
      for (const run of await listRuns()) {
        const client = await AtlasClient.connect(run.name);
        const { processes } = await client.request('ps', {});
        if (processes.some((process) => process.pid === parsed.pid))
          return { client, process: String(parsed.pid) };
      }
      throw new AtlasError('no-such-process', `No run of yours has a process ${parsed.pid}.`, whereToLook());
    }
  }
}
