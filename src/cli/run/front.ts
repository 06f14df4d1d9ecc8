/**
 * The process that the user's shell waits for. It starts the supervisor as a process of its own, because a
 * shell expects a command that daemonises to return, while the supervisor must outlive the daemons.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultRunName, uniqueNames } from '../../api/run-name.js';
import {
  chooseRuntimeDirectory,
  existingRuntimeDirectory,
  openRuntimeDirectory,
} from '../../api/runtime-directory.js';
import { removeDead } from '../../api/socket-file.js';
import { AtlasError } from '../../errors/atlas-error.js';
import type { Ending } from '../../supervisor/protocol.js';
import { findExecutable } from '../../process/launch.js';
import { requireUsableMachine } from '../doctor/machine.js';
import { stderr } from '../output/streams.js';
import { takeCaller } from './caller.js';
import { Channel, type LaunchFailure, type Orders, type ToFront, type ToSupervisor } from './channel.js';
import {
  closedStreams,
  freeDescriptor,
  inheritedDescriptors,
  letGoOf,
  openFileLimit,
} from './native-attributes.js';
import { openNamedLog } from './log.js';
import { FORWARDED } from './signal-forwarder.js';

export interface RunRequest {
  argv: string[];
  name: string | undefined;
  detach: boolean;
  log: string | undefined;
  events: string | undefined;
}

export interface Started {
  name: string;
  pid: number;
  socket: string;
  log: string | undefined;
}

/** A run that could not begin; `exitCode` is what a shell would say, when it is about the command. */
export class LaunchError extends AtlasError {
  readonly exitCode: number | undefined;

  constructor({ error, exitCode }: LaunchFailure) {
    super(error.kind, error.message, error.advice);
    this.exitCode = exitCode;
  }
}

/** Higher than what shells give to the commands that they start. */
const LOWEST_CHANNEL = 100;

/** Runs a program in the foreground until its root process has ended. From `whenStarted` on, stdout is its alone. */
export async function runInForeground(request: RunRequest, whenStarted: () => void): Promise<Ending> {
  const supervisor = new Supervisor(request);
  supervisor.started.then(whenStarted, () => {});
  for (const signal of FORWARDED) process.on(signal, () => supervisor.signal(signal));
  return supervisor.ended;
}

/** Starts a program in a session of its own, and returns as soon as it runs. */
export async function runDetached(request: RunRequest): Promise<Started> {
  return new Supervisor(request).started;
}

class Supervisor {
  readonly #channel: Channel<ToSupervisor, ToFront>;
  readonly #child: ChildProcess;
  readonly #directory: string;
  #name: string | undefined;
  #log: string | undefined;
  readonly #started = new Deferred<Started>();
  readonly #ended = new Deferred<Ending>();

  constructor(request: RunRequest) {
    requireUsableMachine();
    findExecutable(request.argv[0]!, process.env.PATH);
    const { path: directory, note } = chooseRuntimeDirectory();
    openRuntimeDirectory(directory)[Symbol.dispose]();
    if (note !== undefined) stderr.write(`atlas: ${note}\n`);
    this.#directory = directory;
    const base = request.name ?? defaultRunName(request.argv[0]!);
    const caller = takeCaller();
    const descriptors = inheritedDescriptors(caller);
    const channel = freeDescriptor(LOWEST_CHANNEL);
    const log = request.log === undefined ? undefined : openNamedLog(request.log);
    this.#log = log?.file;
    this.#child = spawn(process.execPath, [...process.execArgv, entry(), String(channel)], {
      detached: request.detach,
      stdio: standardStreams(
        channel,
        descriptors,
        request.detach ? (log?.descriptor ?? 'ignore') : 'inherit',
      ),
    });
    if (log) fs.closeSync(log.descriptor);
    this.#channel = new Channel<ToSupervisor, ToFront>(this.#child.stdio[channel] as Socket, {
      received: (message) => this.#received(message),
      closed: () => void this.#closed(),
    });
    const orders: Orders = {
      argv: request.argv,
      names: request.name === undefined ? [...uniqueNames(base)] : [request.name],
      directory,
      detach: request.detach,
      ownLog: request.detach && log === undefined,
      events: request.events === undefined ? undefined : path.resolve(request.events),
      descriptors,
      closed: request.detach ? [] : closedStreams(caller),
      signals: caller && { blocked: caller.blocked.toString(16), ignored: caller.ignored.toString(16) },
      openFiles: openFileLimit(caller),
    };
    void this.#channel.send({ kind: 'orders', orders });
    // From here on they are the program's; its readers and writers must not wait for us.
    for (const descriptor of descriptors) fs.closeSync(descriptor);
    // A failure of both kinds of waiting is told once.
    this.#started.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
  }

  get started(): Promise<Started> {
    return this.#started.promise;
  }

  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  signal(signal: NodeJS.Signals): void {
    void this.#channel.send({ kind: 'signal', signal });
  }

  #received(message: ToFront): void {
    switch (message.kind) {
      case 'started': {
        const { name, pid, socket } = message;
        this.#name = name;
        this.#log ??= message.log;
        if (this.#log === undefined) letGoOf(0, 1);
        this.#started.resolve({ name, pid, socket, log: this.#log });
        break;
      }
      case 'failed':
        this.#fail(new LaunchError(message.failure));
        break;
      case 'ended':
        this.#ended.resolve(message.ending);
        break;
    }
  }

  async #closed(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await new Promise((resolve) => this.#child.once('exit', resolve));
    }
    const { exitCode, signalCode } = this.#child;
    this.#cleanUp();
    this.#fail(
      new AtlasError(
        'internal',
        `The supervisor ended unexpectedly (${signalCode ?? `exit ${exitCode}`}), and the program with it.`,
        this.#log === undefined ? '' : `See ${this.#log}.`,
      ),
    );
  }

  /** A supervisor that was killed leaves its socket's name behind. */
  #cleanUp(): void {
    if (this.#name === undefined) return;
    using directory = existingRuntimeDirectory(this.#directory);
    if (directory) removeDead(directory, this.#name);
  }

  #fail(error: AtlasError): void {
    this.#started.reject(error);
    this.#ended.reject(error);
  }
}

class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

const entry = (): string => fileURLToPath(new URL('./supervisor.js', import.meta.url));

type Stream = 'inherit' | 'ignore' | 'pipe' | number;

/** Index = descriptor of the supervisor; "ignore" leaves a descriptor above 2 as it is. */
function standardStreams(channel: number, descriptors: readonly number[], output: Stream): Stream[] {
  const streams = Array.from({ length: channel + 1 }, (): Stream => 'ignore');
  for (const descriptor of descriptors) if (descriptor < channel) streams[descriptor] = descriptor;
  streams[0] = output === 'inherit' ? 'inherit' : 'ignore';
  [streams[1], streams[2]] = [output, output];
  streams[channel] = 'pipe';
  return streams;
}
