/**
 * Coroutines of the tracing loop. A mediated operation is a generator that yields what it waits for: a
 * task (its next stop) or a condition. The loop alone calls wait4; nothing here blocks.
 *
 *     yield* nextStop(task)      suspended until this task reports; others go on
 *     yield* lock.acquire()      suspended until the lock is free
 *     yield* pause(scheduler)    let other events be handled first
 */
import { Gone } from '../errors/gone.js';

export interface Waitable {
  /** The one program that is resumed by the next report. */
  waiter: Program | undefined;
}

export type Steps<T> = Generator<Waitable, T, void>;

/** Thrown into a program when the task it works on has ended: a normal outcome (SIGKILL, exit). */
export class TaskGone extends Gone {
  constructor(readonly tid: number) {
    super(`task ${tid} has ended`);
  }
}

/** What a program finds that waits where another one already does: its own work failed, nobody else's. */
export class DoubleWait extends Error {}

export class Program {
  waitsFor: Waitable | undefined;
  /** How often it has let the others go first since it last waited for anything. */
  rounds = 0;

  constructor(
    readonly name: string,
    readonly steps: Steps<unknown>,
  ) {}
}

/** A program that goes round so often without waiting for anything is told of: it takes the time of all others. */
const MOST_ROUNDS = 200_000;
/** Milliseconds. Nothing that is done between two waits takes so long, unless it goes round in a circle. */
const LONGEST_STEP = 1000;

export interface Complaints {
  /** A defect of ours: ends the run loudly. */
  defect(program: Program, error: unknown): void;
  /** A program that does not wait, by rounds or by milliseconds of one step. */
  restless(program: Program, measure: { rounds: number } | { milliseconds: number }): void;
}

export class Scheduler {
  readonly #ready: Program[] = [];
  /** All that have started and not ended. */
  readonly programs = new Set<Program>();
  readonly #complaints: Complaints;
  #current: Program | undefined;

  constructor(complaints: Complaints) {
    this.#complaints = complaints;
  }

  get busy(): boolean {
    return this.#ready.length > 0;
  }

  /** The program whose steps are being run. */
  get current(): Program | undefined {
    return this.#current;
  }

  /** Runs a program until it first waits. */
  start(name: string, steps: Steps<unknown>): Program {
    const program = new Program(name, steps);
    this.programs.add(program);
    this.advance(program);
    return program;
  }

  advance(program: Program): void {
    this.#run(program, () => program.steps.next());
  }

  /** Ends a program whose subject is no more: its scopes are left, and what they wait for is waited for. */
  end(program: Program): void {
    this.#run(program, () => program.steps.return(undefined));
  }

  #run(program: Program, step: () => IteratorResult<Waitable, unknown>): void {
    const outer = this.#current;
    this.#current = program;
    const started = performance.now();
    try {
      let result = step();
      while (!result.done && result.value.waiter !== undefined) {
        const { name } = result.value.waiter;
        result = program.steps.throw(
          new DoubleWait(`${program.name} waits for what ${name} already waits for`),
        );
      }
      if (result.done) this.programs.delete(program);
      else {
        program.waitsFor = result.value;
        result.value.waiter = program;
      }
    } catch (error) {
      this.programs.delete(program);
      if (!(error instanceof Gone)) this.#complaints.defect(program, error);
    } finally {
      this.#current = outer;
    }
    const milliseconds = performance.now() - started;
    if (milliseconds > LONGEST_STEP) this.#complaints.restless(program, { milliseconds });
  }

  /** Resumes whoever waits for `waitable`, from the loop, not from inside the caller. */
  wake(waitable: Waitable): void {
    const program = waitable.waiter;
    waitable.waiter = undefined;
    if (!program) return;
    program.rounds = 0;
    this.#ready.push(program);
  }

  /** Resumes a program that only lets others go first. */
  schedule(program: Program): void {
    if (++program.rounds === MOST_ROUNDS) this.#complaints.restless(program, { rounds: MOST_ROUNDS });
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

  get fulfilled(): boolean {
    return this.#fulfilled;
  }

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

/** First come, first served. Held under a name, so that who waits can be told for what. */
export class Lock {
  #holder: string | undefined;
  readonly #queue: { turn: Condition; name: string }[] = [];
  constructor(readonly scheduler: Scheduler) {}

  get held(): boolean {
    return this.#holder !== undefined;
  }

  get holder(): string | undefined {
    return this.#holder;
  }

  /** @param name of the holder-to-be; the program's own when left out */
  *acquire(name = this.scheduler.current?.name ?? 'nobody'): Steps<Disposable> {
    return (yield* this.acquireWithin(name, (turn) => turn.wait()))!;
  }

  /**
   * @param wait for the turn, or less long: see `Kernel.within`
   * @returns undefined when the turn has not come by then
   */
  *acquireWithin(name: string, wait: (turn: Condition) => Steps<unknown>): Steps<Disposable | undefined> {
    if (this.#holder === undefined) this.#holder = name;
    else {
      const turn = new Condition(this.scheduler);
      const place = { turn, name };
      this.#queue.push(place);
      let waited = false;
      try {
        yield* wait(turn);
        waited = true;
      } finally {
        // Whoever is ended while it waits gives its turn to the next.
        if (!turn.fulfilled) this.#queue.splice(this.#queue.indexOf(place), 1);
        else if (!waited) this.#release();
      }
      if (!turn.fulfilled) return undefined;
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  #release(): void {
    const next = this.#queue.shift();
    this.#holder = next?.name;
    next?.turn.fulfil();
  }
}
