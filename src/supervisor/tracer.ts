/** The control side's handle of the tracing thread. */
import { writeSync } from 'node:fs';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { AtlasError } from '../errors/atlas-error.js';
import { pipe } from '../linux/ffi.js';
import type { FromTracer, PlainFailure, ToTracer } from './messages.js';
import type {
  Ending,
  LaunchOptions,
  OperationName,
  Parameters,
  Result,
  SupervisorEvent,
  TracerHandle,
} from './protocol.js';
import type { WorkerInput } from './worker.js';

/** Events before the first listener are kept, so that it sees them all. */
const MOST_EARLY_EVENTS = 1000;

/** A promise with its own ends outside: settles once, from a message. */
class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

function failure(plain: PlainFailure): AtlasError {
  const error = new AtlasError(plain.kind, plain.message, plain.advice);
  return plain.exitCode === undefined ? error : Object.assign(error, { exitCode: plain.exitCode });
}

class Tracer implements TracerHandle {
  pid = 0;
  readonly #started = new Deferred<void>();
  readonly #rootEnded = new Deferred<Ending>();
  readonly #treeEnded = new Deferred<void>();
  readonly #listeners: ((event: SupervisorEvent) => void)[] = [];
  readonly #early: SupervisorEvent[] = [];
  readonly #pending = new Map<number, Deferred<unknown>>();
  readonly #port: MessagePort;
  readonly #bell: number;
  #nextId = 1;
  #over = false;

  constructor(options: LaunchOptions) {
    const { port1, port2 } = new MessageChannel();
    const [readEnd, writeEnd] = pipe();
    this.#bell = writeEnd;
    this.#port = port1;
    for (const { promise } of [this.#started, this.#rootEnded, this.#treeEnded])
      promise.catch(() => undefined);
    const input: WorkerInput = { options, doorbell: readEnd, port: port2 };
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: input,
      transferList: [port2],
      trackUnmanagedFds: false,
    });
    port1.on('message', (message: FromTracer) => this.#receive(message));
    worker.on('error', (error) => this.#end(AtlasError.from(error)));
    worker.on('exit', () => {
      // The thread's end may overtake its last messages, which say how the program ended.
      for (let entry = receiveMessageOnPort(port1); entry; entry = receiveMessageOnPort(port1))
        this.#receive(entry.message as FromTracer);
      this.#end(new AtlasError('internal', 'The tracing thread ended.'));
    });
  }

  get started(): Promise<void> {
    return this.#started.promise;
  }

  get rootEnded(): Promise<Ending> {
    return this.#rootEnded.promise;
  }

  get treeEnded(): Promise<void> {
    return this.#treeEnded.promise;
  }

  request<N extends OperationName>(operation: N, parameters: Parameters<N>): Promise<Result<N>> {
    if (this.#over) {
      return Promise.reject(
        new AtlasError('no-such-process', 'The supervised processes have ended.', 'See `atlas ps`.'),
      );
    }
    const id = this.#nextId++;
    const reply = new Deferred<unknown>();
    this.#pending.set(id, reply);
    this.#send({ type: 'request', id, operation, parameters });
    return reply.promise as Promise<Result<N>>;
  }

  #send(message: ToTracer): void {
    if (this.#over) return;
    this.#port.postMessage(message);
    writeSync(this.#bell, '!');
  }

  onEvent(listener: (event: SupervisorEvent) => void): void {
    for (const event of this.#early.splice(0)) listener(event);
    this.#listeners.push(listener);
  }

  #receive(message: FromTracer): void {
    switch (message.type) {
      case 'started':
        this.pid = message.pid;
        this.#started.resolve();
        return;
      case 'failed':
        this.#end(failure(message.error));
        return;
      case 'root-ended':
        this.#rootEnded.resolve(message.ending);
        return;
      case 'tree-ended':
        this.#treeEnded.resolve();
        this.#end(new AtlasError('no-such-process', 'The supervised processes have ended.'));
        return;
      case 'set-timer':
        setTimeout(() => this.#send({ type: 'timer', id: message.id }), message.milliseconds);
        return;
      case 'event':
        if (this.#listeners.length === 0 && this.#early.length < MOST_EARLY_EVENTS)
          this.#early.push(message.event);
        for (const listener of this.#listeners) listener(message.event);
        return;
      case 'reply': {
        const reply = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.error) reply?.reject(failure(message.error));
        else reply?.resolve(message.result);
        return;
      }
    }
  }

  /** Settles what is still open; what was settled before stays as it is. */
  #end(error: AtlasError): void {
    this.#over = true;
    this.#started.reject(error);
    this.#rootEnded.reject(error);
    this.#treeEnded.reject(error);
    for (const reply of this.#pending.values()) reply.reject(error);
    this.#pending.clear();
    this.#port.close();
  }
}

/** Starts the command under a new tracing thread; resolves once the command executes. */
export async function startTracer(options: LaunchOptions): Promise<TracerHandle> {
  const tracer = new Tracer(options);
  await tracer.started;
  return tracer;
}
