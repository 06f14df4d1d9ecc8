/**
 * Coroutines of the tracing loop. A mediated operation is a generator that yields what it waits for: a
 * task (its next stop) or a condition. The loop alone calls wait4; nothing here blocks.
 *
 *     yield* nextStop(task)      suspended until this task reports; others go on
 *     yield* lock.acquire()      suspended until the lock is free
 *     yield* pause(scheduler)    let other events be handled first
 */

export interface Waitable {
  /** The one program that is resumed by the next report. */
  waiter: Program | undefined;
}

export type Steps<T> = Generator<Waitable, T, void>;

/** Thrown into a program when the task it works on has ended: a normal outcome (SIGKILL, exit). */
export class TaskGone extends Error {
  constructor(readonly tid: number) {
    super(`task ${tid} has ended`);
  }
}

export class Program {
  waitsFor: Waitable | undefined;

  constructor(
    readonly name: string,
    readonly steps: Steps<unknown>,
  ) {}
}

export class Scheduler {
  readonly #ready: Program[] = [];
  /** All that have started and not ended. */
  readonly programs = new Set<Program>();
  /** A defect of ours: ends the run loudly. */
  readonly #onDefect: (program: Program, error: unknown) => void;

  constructor(onDefect: (program: Program, error: unknown) => void) {
    this.#onDefect = onDefect;
  }

  get busy(): boolean {
    return this.#ready.length > 0;
  }

  /** Runs a program until it first waits. */
  start(name: string, steps: Steps<unknown>): Program {
    const program = new Program(name, steps);
    this.programs.add(program);
    this.advance(program);
    return program;
  }

  advance(program: Program): void {
    try {
      const result = program.steps.next();
      if (result.done) {
        this.programs.delete(program);
        return;
      }
      if (result.value.waiter !== undefined) {
        throw new Error(`${program.name} waits for what ${result.value.waiter.name} already waits for`);
      }
      program.waitsFor = result.value;
      result.value.waiter = program;
    } catch (error) {
      this.programs.delete(program);
      if (!(error instanceof TaskGone)) this.#onDefect(program, error);
    }
  }

  /** Resumes whoever waits for `waitable`, from the loop, not from inside the caller. */
  wake(waitable: Waitable): void {
    const program = waitable.waiter;
    waitable.waiter = undefined;
    if (program) this.#ready.push(program);
  }

  schedule(program: Program): void {
    this.#ready.push(program);
  }

  runReady(): void {
    const count = this.#ready.length;
    for (let i = 0; i < count; i++) this.advance(this.#ready.shift()!);
  }
}

/** Something that happens once. */
export class Condition implements Waitable {
  waiter: Program | undefined;
  #fulfilled = false;
  constructor(readonly scheduler: Scheduler) {}

  fulfil(): void {
    this.#fulfilled = true;
    this.scheduler.wake(this);
  }

  *wait(): Steps<void> {
    if (!this.#fulfilled) yield this;
  }
}

/** Lets the loop handle what is pending, then goes on. */
export function* pause(scheduler: Scheduler): Steps<void> {
  const turn: Waitable = {
    get waiter() {
      return undefined;
    },
    set waiter(program: Program | undefined) {
      if (program) scheduler.schedule(program);
    },
  };
  yield turn;
}

/** First come, first served. */
export class Lock {
  #held = false;
  readonly #queue: Condition[] = [];
  constructor(readonly scheduler: Scheduler) {}

  get held(): boolean {
    return this.#held;
  }

  *acquire(): Steps<Disposable> {
    if (this.#held) {
      const turn = new Condition(this.scheduler);
      this.#queue.push(turn);
      yield* turn.wait();
    }
    this.#held = true;
    return { [Symbol.dispose]: () => this.#release() };
  }

  #release(): void {
    const next = this.#queue.shift();
    if (next) next.fulfil();
    else this.#held = false;
  }
}
