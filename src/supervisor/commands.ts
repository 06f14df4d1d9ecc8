/** The operations that the control side may ask for, each a program of the tracing loop. */
import { diagnose } from './diagnosis.js';
import { AtlasError } from '../errors/atlas-error.js';
import { Gone } from '../errors/gone.js';
import { kernelPlace, taskName } from '../linux/proc.js';
import { syscallName } from '../linux/syscall-numbers.js';
import type { Kernel } from '../process/kernel.js';
import type { Process } from '../process/model.js';
import { type Change, changing } from '../process/change.js';
import { createGeneration, deleteGeneration, type StubFilter } from '../process/generation.js';
import { migrateThreads } from '../rollout/migration.js';
import { applyPatch } from '../rollout/apply.js';
import { settle, type Settled } from '../rollout/settle.js';
import { addressOfSymbol, areasOf, generationOf, readView, writeView } from '../rollout/view.js';
import type { Steps } from '../process/steps.js';
import type { FromTracer, RequestMessage } from './messages.js';
import type { OperationName, Parameters, ProcessInfo, Result, ThreadInfo } from './protocol.js';

type Handlers = { [N in OperationName]?: (parameters: Parameters<N>) => Steps<Result<N>> };

export class Commands {
  readonly #handlers: Handlers;

  constructor(
    readonly kernel: Kernel,
    readonly name: string,
    readonly stubFilter: StubFilter,
  ) {
    this.#handlers = {
      ps: () => this.#ps(),
      threads: ({ process }) => this.#threads(process),
      areas: ({ process, generation }) => this.#areas(process, generation ?? 0),
      'generation.create': ({ process }) => this.#createGeneration(process),
      'generation.list': ({ process }) => this.#listGenerations(process),
      'generation.delete': ({ process, generation }) => this.#deleteGeneration(process, generation),
      read: (parameters) => this.#read(parameters),
      write: (parameters) => this.#write(parameters),
      migrate: (parameters) => this.#migrate(parameters),
      'patch.apply': (parameters) => this.#applyPatch(parameters),
      'patch.status': ({ process }) => this.#patchStatus(process),
      diagnose: () => this.#diagnose(),
      settle: ({ process, timeoutMilliseconds }) => this.#settle(process, timeoutMilliseconds),
    };
  }

  serve(message: RequestMessage, send: (message: FromTracer) => void): void {
    this.kernel.scheduler.start(message.operation, this.#answer(message, send));
  }

  *#answer(message: RequestMessage, send: (message: FromTracer) => void): Steps<void> {
    try {
      const handler = this.#handlers[message.operation] as
        | ((parameters: unknown) => Steps<unknown>)
        | undefined;
      if (!handler) throw new AtlasError('bad-usage', `Unknown operation ${message.operation}.`);
      send({ type: 'reply', id: message.id, result: yield* handler(message.parameters) });
    } catch (error) {
      send({ type: 'reply', id: message.id, error: this.#failure(error, message.parameters).toJSON() });
    }
  }

  /** What was worked on has ended in the middle: that is the program's doing, not a defect. */
  #failure(error: unknown, parameters: unknown): AtlasError {
    if (error instanceof AtlasError) return error;
    const { process } = (parameters ?? {}) as { process?: unknown };
    const ended = typeof process === 'string' && !this.#lives(process);
    if (!ended && !(error instanceof Gone) && !isOfTheDead(error)) return AtlasError.from(error);
    return new AtlasError(
      'no-such-process',
      ended ? `Process ${process} has ended.` : `The process, or a generation of it, ended meanwhile.`,
      'See `atlas ps`.',
      { cause: error },
    );
  }

  #lives(reference: string): boolean {
    try {
      return !this.find(reference).ended;
    } catch {
      return false;
    }
  }

  /** The process that a name or pid means: the name is the main process's, or the oldest's after its end. */
  find(reference: string): Process {
    const { processes, rootPid } = this.kernel;
    const pid = Number(
      reference.startsWith(`${this.name}:`) ? reference.slice(this.name.length + 1) : reference,
    );
    const main = processes.get(rootPid) ?? processes.values().next().value;
    const found = reference === this.name ? main : processes.get(pid);
    if (!found) throw new AtlasError('no-such-process', `No process ${reference} here.`, 'See `atlas ps`.');
    return found;
  }

  /** Runs `work` on the process that is meant, with the process to itself. */
  *#change<T>(
    reference: string,
    change: Change,
    milliseconds: number | undefined,
    work: (process: Process, deadline: number) => Steps<T>,
    late?: (process: Process, holder: string) => T,
  ): Steps<T> {
    const process = this.find(reference);
    const deadline = performance.now() + (milliseconds ?? DEFAULT_TIMEOUT);
    return yield* changing(
      this.kernel,
      process,
      change,
      deadline,
      () => work(process, deadline),
      late && ((holder) => late(process, holder)),
    );
  }

  #settle(reference: string, milliseconds: number | undefined): Steps<Settled> {
    return this.#change(reference, 'settle', milliseconds, (process, deadline) =>
      settle(this.kernel, process, deadline),
    );
  }

  *#diagnose(): Steps<{ lines: string[] }> {
    return { lines: diagnose(this.kernel) };
  }

  *#ps(): Steps<{ processes: ProcessInfo[] }> {
    const { processes, rootPid } = this.kernel;
    const mainPid = processes.has(rootPid) ? rootPid : [...processes.keys()][0];
    return {
      processes: [...processes.values()].map((process) => ({
        name: process.pid === mainPid ? this.name : `${this.name}:${process.pid}`,
        pid: process.pid,
        command: process.command,
        threads: process.threads.size,
        generations: [...process.space.generations.keys()],
      })),
    };
  }

  *#threads(reference: string): Steps<{ threads: ThreadInfo[] }> {
    const process = this.find(reference);
    const threads: ThreadInfo[] = [];
    for (const thread of process.threads.values()) {
      const { runner } = thread;
      const place = kernelPlace(thread.stub ? thread.generation.hostPid : process.pid, runner.tid);
      const asleep = place?.asleep === true && !runner.stopped;
      threads.push({
        tid: thread.tid,
        name: taskName(process.pid, thread.tid),
        generation: thread.generation.id,
        state: thread.held ? 'stopped' : asleep ? 'asleep' : 'running',
        ...(asleep && place.nr >= 0 ? { syscall: syscallName(place.nr) } : {}),
      });
    }
    return { threads };
  }

  *#areas(reference: string, id: number): Steps<Result<'areas'>> {
    const process = this.find(reference);
    const areas = areasOf(generationOf(process, id));
    return { areas: areas.map((area) => ({ ...area, start: hex(area.start), end: hex(area.end) })) };
  }

  *#createGeneration(reference: string): Steps<Result<'generation.create'>> {
    const started = performance.now();
    const generation = yield* this.#change(reference, 'generation create', undefined, (process, deadline) =>
      createGeneration(this.kernel, process, this.stubFilter, deadline),
    );
    return { generation: generation.id, microseconds: Math.round((performance.now() - started) * 1000) };
  }

  *#listGenerations(reference: string): Steps<Result<'generation.list'>> {
    const process = this.find(reference);
    const threads = [...process.threads.values()];
    return {
      generations: [...process.space.generations.values()].map((generation) => ({
        generation: generation.id,
        threads: threads.filter((thread) => thread.generation === generation).map((thread) => thread.tid),
        diverged: generation.divergences.map(({ address, bytes }) => ({
          address: hex(address),
          length: bytes.length,
        })),
      })),
    };
  }

  *#deleteGeneration(reference: string, id: number): Steps<Result<'generation.delete'>> {
    yield* this.#change(reference, 'generation delete', undefined, (process) =>
      deleteGeneration(this.kernel, process, id),
    );
    return { generation: id };
  }

  *#read(parameters: Parameters<'read'>): Steps<Result<'read'>> {
    const process = this.find(parameters.process);
    const address = addressIn(process, parameters);
    const bytes = readView(generationOf(process, parameters.generation), address, parameters.length);
    return { address: hex(address), bytes: Buffer.from(bytes).toString('hex') };
  }

  #write(parameters: Parameters<'write'>): Steps<Result<'write'>> {
    return this.#change(parameters.process, 'write', undefined, function* (process) {
      const address = addressIn(process, parameters);
      const bytes = Buffer.from(parameters.bytes, 'hex');
      writeView(generationOf(process, parameters.generation), address, bytes);
      return { address: hex(address), length: bytes.length };
    });
  }

  *#applyPatch(parameters: Parameters<'patch.apply'>): Steps<Result<'patch.apply'>> {
    const { file, content, strategy, timeoutMilliseconds } = parameters;
    const outcome = yield* this.#change(
      parameters.process,
      'patch apply',
      timeoutMilliseconds,
      (process, deadline) => {
        const request = { file, content: Buffer.from(content, 'base64'), strategy, deadline };
        return applyPatch(this.kernel, process, request, this.stubFilter);
      },
    );
    const { patch, moved, totalMilliseconds, warnings, settled } = outcome;
    return { patch, strategy, threads: moved, totalMilliseconds, warnings, settled };
  }

  *#patchStatus(reference: string): Steps<Result<'patch.status'>> {
    return {
      patches: this.find(reference).patches.map(({ name, strategy, state, functions }) => ({
        patch: name,
        strategy,
        state,
        functions: functions.map((replaced) => ({ name: replaced.name, address: hex(replaced.address) })),
      })),
    };
  }

  #migrate({
    process: reference,
    to: id,
    threads,
    timeoutMilliseconds,
  }: Parameters<'migrate'>): Steps<Result<'migrate'>> {
    const chosen = (process: Process): readonly number[] => {
      for (const tid of threads ?? []) {
        if (!process.threads.has(tid))
          throw new AtlasError(
            'bad-usage',
            `Process ${process.pid} has no thread ${tid}.`,
            'See `atlas threads`.',
          );
      }
      return threads ?? [...process.threads.keys()];
    };
    return this.#change(
      reference,
      'migrate',
      timeoutMilliseconds,
      (process, deadline) => {
        const to = generationOf(process, id);
        chosen(process);
        return migrateThreads(this.kernel, process, to, deadline, { threads });
      },
      // Not an error: what did not get its turn in time is as pending as what did not come to a stop in time.
      (process, holder) => ({
        moved: [],
        pending: chosen(process).map((tid) => ({ tid, reason: `\`${holder}\` is under way` })),
      }),
    );
  }
}

/** What /proc answers of a process that has exited and is not reported yet. */
function isOfTheDead(error: unknown): boolean {
  const { code, path } = error as NodeJS.ErrnoException;
  return (code === 'ENOENT' || code === 'ESRCH') && path?.startsWith('/proc/') === true;
}

/** Milliseconds. */
const DEFAULT_TIMEOUT = 10_000;
const hex = (address: number): string => `0x${address.toString(16)}`;

/** The address that the parameters name, directly or by symbol. */
function addressIn(process: Process, { address, symbol }: { address?: string; symbol?: string }): number {
  if (symbol !== undefined) return addressOfSymbol(process, symbol);
  const value = Number(address);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new AtlasError('bad-usage', `${address} is not an address.`, 'Write it as 0x….');
  return value;
}
