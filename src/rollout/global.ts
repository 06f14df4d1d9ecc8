/**
 * The barrier: every thread is brought to a halt at a quiescent moment, and all wait for the last one. It
 * exists to be compared with.
 */
import { AtlasError } from '../errors/atlas-error.js';
import { catchSleeper, letSleeperGo } from '../process/breakpoints.js';
import { ask, wasAsleep } from '../process/hold.js';
import type { Kernel } from '../process/kernel.js';
import type { Process, Thread } from '../process/model.js';
import { Condition, type Steps } from '../process/steps.js';
import type { LinkedPatch } from '../patch/index.js';
import type { Moved } from './migration.js';
import type { Judge } from './objection.js';
import type { Rollout } from './local.js';
import { writeView } from './view.js';

const RETRY_MILLISECONDS = 1;

/** One thread at the barrier. */
interface Halted {
  since: number;
  asleep: boolean;
}

export function* rollOutGlobally(
  kernel: Kernel,
  process: Process,
  linked: LinkedPatch,
  judge: Judge,
  milliseconds: number,
): Steps<Rollout> {
  const halted = new Map<Thread, Halted>();
  const waiting: Condition[] = [];
  const deadline = performance.now() + milliseconds;
  const reasons = new Map<Thread, string>();
  const hold = function* (thread: Thread): Steps<void> {
    if (!halted.has(thread)) halted.set(thread, { since: performance.now(), asleep: false });
    const turn = new Condition(kernel.scheduler);
    waiting.push(turn);
    yield* turn.wait();
  };
  const open = (): void => {
    for (const thread of halted.keys()) {
      thread.onWaking = undefined;
      letSleeperGo(thread);
    }
    for (const turn of waiting.splice(0)) turn.fulfil();
  };
  for (;;) {
    for (const thread of process.threads.values()) {
      if (halted.has(thread) || thread.busy) continue;
      yield* halt(kernel, thread, judge, halted, reasons, hold);
    }
    if ([...process.threads.values()].every((thread) => halted.has(thread))) break;
    if (performance.now() >= deadline) {
      open();
      const [thread, reason] = [...reasons][0] ?? [];
      throw new AtlasError(
        'not-finished',
        `Not all threads came to a halt in time (thread ${thread?.tid}: ${reason}).`,
        'No code was changed. Threads may wait for each other behind the barrier: --strategy local has none.',
      );
    }
    yield* kernel.sleep(RETRY_MILLISECONDS);
  }
  for (const { address, newBytes } of linked.jumps) writeView(process, process.space.base, address, newBytes);
  const now = performance.now();
  const moved: Moved[] = [...halted].map(([thread, { since, asleep }]) => ({
    tid: thread.tid,
    pauseMicroseconds: asleep ? 0 : Math.round((now - since) * 10_000) / 10,
    asleep,
  }));
  open();
  return { moved, settled: true };
}

/** Halts the thread if it is quiescent; a sleeper is left asleep, and held when it wakes up. */
function* halt(
  kernel: Kernel,
  thread: Thread,
  judge: Judge,
  halted: Map<Thread, Halted>,
  reasons: Map<Thread, string>,
  hold: (thread: Thread) => Steps<void>,
): Steps<void> {
  if (judge.judgeSleeper(thread) !== 'needs-registers' && catchSleeper(thread) === 'caught') {
    if (judge.judgeSleeper(thread) !== 'needs-registers') {
      halted.set(thread, { since: performance.now(), asleep: true });
      thread.onWaking = function* (woken): Steps<void> {
        halted.set(woken, { since: performance.now(), asleep: false });
        yield* hold(woken);
      };
      return;
    }
    letSleeperGo(thread);
  }
  if (thread.exited) return;
  const arrived = new Condition(kernel.scheduler);
  const onGone = (): void => arrived.fulfil();
  thread.onGone.add(onGone);
  ask(thread, function* (): Steps<void> {
    thread.onGone.delete(onGone);
    const { home } = thread;
    home.fetch();
    const verdict = judge.judge(thread, home);
    wasAsleep(home);
    if (verdict.kind !== 'quiescent') {
      reasons.set(thread, judge.describe(verdict));
      arrived.fulfil();
      return;
    }
    halted.set(thread, { since: performance.now(), asleep: false });
    arrived.fulfil();
    yield* hold(thread);
  });
  yield* arrived.wait();
}
