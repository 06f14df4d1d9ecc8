/** The operations that the control side may ask for, each a program of the tracing loop. */
import { AtlasError } from '../errors/atlas-error.js';
import { kernelPlace, taskName } from '../linux/proc.js';
import { syscallName } from '../linux/syscall-numbers.js';
import type { Kernel } from '../process/kernel.js';
import type { Process } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import type { FromTracer, RequestMessage } from './messages.js';
import type { OperationName, Parameters, ProcessInfo, Result, ThreadInfo } from './protocol.js';

type Handlers = { [N in OperationName]?: (parameters: Parameters<N>) => Steps<Result<N>> };

export class Commands {
  readonly #handlers: Handlers;

  constructor(
    readonly kernel: Kernel,
    readonly name: string,
  ) {
    this.#handlers = {
      ps: () => this.#ps(),
      threads: ({ process }) => this.#threads(process),
    };
  }

  serve(message: RequestMessage, send: (message: FromTracer) => void): void {
    this.kernel.scheduler.start(message.operation, this.#answer(message, send));
  }

  *#answer(message: RequestMessage, send: (message: FromTracer) => void): Steps<void> {
    try {
      const handler = this.#handlers[message.operation] as ((parameters: unknown) => Steps<unknown>) | undefined;
      if (!handler) throw new AtlasError('bad-usage', `Unknown operation ${message.operation}.`);
      send({ type: 'reply', id: message.id, result: yield* handler(message.parameters) });
    } catch (error) {
      send({ type: 'reply', id: message.id, error: AtlasError.from(error).toJSON() });
    }
  }

  /** The process that a name or pid means: the name is the main process's, or the oldest's after its end. */
  find(reference: string): Process {
    const { processes, rootPid } = this.kernel;
    const pid = Number(reference.startsWith(`${this.name}:`) ? reference.slice(this.name.length + 1) : reference);
    const main = processes.get(rootPid) ?? processes.values().next().value;
    const found = reference === this.name ? main : processes.get(pid);
    if (!found) throw new AtlasError('no-such-process', `No process ${reference} here.`, 'See `atlas ps`.');
    return found;
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
        state: thread.held || process.stopped ? 'stopped' : asleep ? 'asleep' : 'running',
        ...(asleep && place.nr >= 0 ? { syscall: syscallName(place.nr) } : {}),
      });
    }
    return { threads };
  }
}
