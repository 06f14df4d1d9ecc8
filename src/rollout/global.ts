/**
 * The barrier: every thread is brought to a halt at a quiescent moment, and all wait for the last one. It
 * exists to be compared with.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { catchSleeper, forgetSleeper } from '../process/breakpoints.js';
import { ask, wasAsleep } from '../process/hold.js';
import { Interruption } from '../process/interruption.js';
import type { Kernel } from '../process/kernel.js';
import type { Process, Thread } from '../process/model.js';
import { Condition, type Steps } from '../process/steps.js';
import { stand } from '../process/turns.js';
import type { LinkedPatch } from '../patch/index.js';
import type { Moved } from './migration.js';
import type { Judge } from './objection.js';
import type { Rollout } from './local.js';
import { untilNoneBorrows } from './settle.js';
import { writeView } from './view.js';

const RETRY_MILLISECONDS = 1;

/** One thread at the barrier. */
interface Halted {
  since: number;
  asleep: boolean;
}

/** @param deadline as performance.now() says */
export function* rollOutGlobally(
  kernel: Kernel,
  process: Process,
  linked: LinkedPatch,
  judge: Judge,
  deadline: number,
): Steps<Rollout> {
  const barrier = new Barrier(kernel, process, judge, deadline);
  try {
    yield* untilNoneBorrows(kernel, process, deadline);
    yield* barrier.gather();
    for (const { address, newBytes } of linked.jumps) writeView(process.space.base, address, newBytes);
    return { moved: barrier.moved(), settled: true };
  } finally {
    barrier.open();
  }
}

class Barrier {
  readonly #halted = new Map<Thread, Halted>();
  readonly #waiting: Condition[] = [];
  readonly #reasons = new Map<Thread, string>();

  constructor(
    readonly kernel: Kernel,
    readonly process: Process,
    readonly judge: Judge,
    readonly deadline: number,
  ) {}

  /** Done when every thread stands here or sleeps, and nobody else runs in the memory. */
  *gather(): Steps<void> {
    const { process, kernel } = this;
    const threads = (): Thread[] => [...process.threads.values()].filter((thread) => !thread.exited);
    for (;;) {
      for (const thread of threads())
        if (!this.#halted.has(thread) && !thread.busy) yield* this.#halt(thread);
      if (process.ended)
        throw new AtlasError('no-such-process', `Process ${process.pid} ended before it came to a halt.`);
      if (process.space.users === 1 && threads().every((thread) => this.#halted.has(thread))) return;
      if (performance.now() >= this.deadline) {
        const late = threads().find((thread) => !this.#halted.has(thread));
        const reason =
          late && (this.#reasons.get(late) ?? (late.held ? 'is stopped by job control' : late.turn));
        throw new AtlasError(
          'not-finished',
          `Not all threads came to a halt in time (thread ${late?.tid ?? 'of a vfork child'}: ${reason ?? 'still runs'}).`,
          'No code was changed. Threads may wait for each other behind the barrier: --strategy local has none.',
        );
      }
      yield* kernel.sleep(RETRY_MILLISECONDS);
    }
  }

  moved(): Moved[] {
    const now = performance.now();
    return [...this.#halted].map(([thread, { since, asleep }]) => ({
      tid: thread.tid,
      pauseMicroseconds: asleep ? 0 : Math.round((now - since) * 10_000) / 10,
      asleep,
    }));
  }

  open(): void {
    for (const thread of this.process.threads.values())
      if (thread.place.at === 'asleep') forgetSleeper(thread);
    for (const turn of this.#waiting.splice(0)) turn.fulfil();
    this.#halted.clear();
  }

  *#wait(thread: Thread): Steps<void> {
    this.#halted.set(thread, { since: performance.now(), asleep: false });
    const turn = new Condition(this.kernel.scheduler);
    this.#waiting.push(turn);
    yield* stand(thread, 'at the barrier', turn.wait());
  }

  /**
   * Halts the thread if it is quiescent; a sleeper is left asleep, and held when it wakes up. One that its stack alone
   * does not acquit is judged as it wakes up, if it must not be interrupted.
   */
  *#halt(thread: Thread): Steps<void> {
    const { judge, kernel } = this;
    if (thread.place.at === 'asleep') return;
    if (catchSleeper(thread, { kind: 'does', work: (woken) => this.#wait(woken) }) === 'caught') {
      if (judge.judgeSleeper(thread) !== 'needs-registers') {
        this.#halted.set(thread, { since: performance.now(), asleep: true });
        return;
      }
      forgetSleeper(thread);
    }
    using interruption = Interruption.of(thread);
    if (!interruption) {
      const work = (woken: Thread): Steps<void> => this.#arrive(woken);
      if (catchSleeper(thread, { kind: 'does', work }) === 'caught')
        this.#reasons.set(thread, 'sleeps until its call returns');
      return;
    }
    // Not until it is done, which is when the barrier opens: only until it stands.
    const stands = new Condition(kernel.scheduler);
    const onGone = (): void => stands.fulfil();
    thread.onGone.add(onGone);
    const arrive = (held: Thread): Steps<void> => this.#arrive(held, stands);
    const request = function* (held: Thread): Steps<void> {
      interruption.arrived();
      yield* arrive(held);
    };
    if (!thread.exited) ask(thread, request);
    yield* kernel.within(stands, this.deadline);
    thread.onGone.delete(onGone);
    const asked = thread.requests.indexOf(request);
    if (asked >= 0) thread.requests.splice(asked, 1);
  }

  *#arrive(thread: Thread, stands?: Condition): Steps<void> {
    const { home } = thread;
    if (thread.place.at !== 'home') {
      stands?.fulfil();
      return;
    }
    home.fetch();
    const verdict = this.judge.judge(thread, home);
    wasAsleep(home);
    if (verdict.kind !== 'quiescent') this.#reasons.set(thread, this.judge.describe(verdict));
    stands?.fulfil();
    if (verdict.kind === 'quiescent') yield* this.#wait(thread);
  }
}
