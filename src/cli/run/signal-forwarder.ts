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
  readonly #early: NodeJS.Signals[] = [];
  readonly #waiting = new Map<NodeJS.Signals, { by: 'front' | 'supervisor'; timer: NodeJS.Timeout }>();
  #tracer: TracerHandle | undefined;
  #hasFront = false;

  constructor() {
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
    tracer.rootEnded.then(() => {
      this.#hasFront = false;
    });
    for (const signal of this.#early.splice(0)) void this.#deliver(signal);
  }

  #received(signal: NodeJS.Signals, by: 'front' | 'supervisor'): void {
    if (!this.#hasFront) return void this.#deliver(signal);
    const waiting = this.#waiting.get(signal);
    if (waiting && waiting.by !== by) {
      clearTimeout(waiting.timer);
      this.#waiting.delete(signal);
    } else if (!waiting) {
      const timer = setTimeout(() => {
        this.#waiting.delete(signal);
        void this.#deliver(signal);
      }, GROUP_MILLISECONDS);
      this.#waiting.set(signal, { by, timer });
    }
  }

  /** To the root process; when it has ended, to those that it left behind. */
  async #deliver(signal: NodeJS.Signals): Promise<void> {
    if (!this.#tracer) {
      this.#early.push(signal);
      return;
    }
    if (kill(this.#tracer.pid, signal)) return;
    const { processes } = await this.#tracer.request('ps', {});
    for (const { pid } of processes) kill(pid, signal);
  }
}

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    // Gone.
    return false;
  }
}
