import type { TracerHandle } from '../../supervisor/protocol.js';

/** Signals that a user sends to `atlas run` and means for the program. */
export const FORWARDED = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** Job control: the program and the front stop; a supervisor that stopped would leave the program unstoppable. */
const SURVIVED = ['SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGPIPE'] as const;

/** In this time a signal to a whole process group has reached all of its members. */
const GROUP_MILLISECONDS = 150;

/**
 * Passes on to the program what was sent to the front process or to the supervisor alone. In the foreground
 * they and the program share one process group: a signal that both of us get (^C, a closed terminal, a shell
 * that ends a job) went to the group, and the program has it already.
 *
 * The handlers are functions, not "ignore": an ignored signal stays ignored through exec, in the program.
 */
export class SignalForwarder {
  readonly #cancel: (signal: NodeJS.Signals) => void;
  readonly #waiting = new Map<NodeJS.Signals, { by: 'front' | 'supervisor'; timer: NodeJS.Timeout }>();
  #tracer: TracerHandle | undefined;
  #hasFront = false;
  #rootHasEnded = false;

  /** @param cancel what a signal does as long as there is no program to get it */
  constructor(cancel: (signal: NodeJS.Signals) => void) {
    this.#cancel = cancel;
    for (const signal of FORWARDED) process.on(signal, () => this.#received(signal, 'supervisor'));
    for (const signal of SURVIVED) process.on(signal, () => {});
  }

  /** From now on, a signal is the group's when the front process has it too. */
  expectFront(): void {
    this.#hasFront = true;
  }

  receivedByFront(signal: NodeJS.Signals): void {
    this.#received(signal, 'front');
  }

  deliverTo(tracer: TracerHandle): void {
    this.#tracer = tracer;
    const rootEnded = () => {
      this.#hasFront = false;
      this.#rootHasEnded = true;
    };
    tracer.rootEnded.then(rootEnded, rootEnded);
  }

  #received(signal: NodeJS.Signals, by: 'front' | 'supervisor'): void {
    if (!this.#tracer) return this.#cancel(signal);
    if (!this.#hasFront) return void this.#deliver(this.#tracer, signal);
    const tracer = this.#tracer;
    const waiting = this.#waiting.get(signal);
    if (waiting && waiting.by !== by) {
      clearTimeout(waiting.timer);
      this.#waiting.delete(signal);
    } else if (!waiting) {
      const timer = setTimeout(() => {
        this.#waiting.delete(signal);
        void this.#deliver(tracer, signal);
      }, GROUP_MILLISECONDS);
      this.#waiting.set(signal, { by, timer });
    }
  }

  /** To the root process; when it has ended, to those that it left behind. */
  async #deliver(tracer: TracerHandle, signal: NodeJS.Signals): Promise<void> {
    if (!this.#rootHasEnded) {
      kill(tracer.pid, signal);
      return;
    }
    try {
      const { processes } = await tracer.request('ps', {});
      for (const { pid } of processes) kill(pid, signal);
    } catch {
      // The last of them ended meanwhile.
    }
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended meanwhile.
  }
}
