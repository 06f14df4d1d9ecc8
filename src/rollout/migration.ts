/** Moving many threads, each at its own moment. */
import { AtlasError } from '../errors/atlas-error.js';
import { forgetVisits } from '../process/breakpoints.js';
import type { Kernel } from '../process/kernel.js';
import type { Generation, Process, Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { type Aim, forgetReturns, moveThread } from './move.js';
import type { Judge } from './objection.js';

export interface Moved {
  tid: number;
  pauseMicroseconds: number;
  asleep: boolean;
}

export interface Pending {
  tid: number;
  reason: string;
}

export interface MigrationOptions {
  /** All threads of the process when left out. */
  threads?: readonly number[] | undefined;
  /** Keeps threads where they are that must not leave their code yet. */
  judge?: Judge | undefined;
}

export interface Migration {
  moved: Moved[];
  pending: Pending[];
}

const FIRST_RETRY_MILLISECONDS = 1;
const LAST_RETRY_MILLISECONDS = 50;

/**
 * Moves the chosen threads, or all, those that are born meanwhile included.
 * @param deadline after which threads that cannot move yet are given up, as performance.now() says
 */
export function* migrateThreads(
  kernel: Kernel,
  process: Process,
  to: Generation,
  deadline: number,
  options: MigrationOptions = {},
): Steps<Migration> {
  try {
    return yield* untilAllMoved(kernel, process, { to, deadline, judge: options.judge }, options.threads);
  } finally {
    forgetVisits(process.space);
    forgetReturns(process);
  }
}

function* untilAllMoved(
  kernel: Kernel,
  process: Process,
  aim: Aim,
  threads: readonly number[] | undefined,
): Steps<Migration> {
  const moved = new Map<number, Moved>();
  const chosen = (): Thread[] =>
    [...process.threads.values()].filter(
      (thread) => !thread.exited && (!threads || threads.includes(thread.tid)),
    );
  const has = (thread: Thread): boolean => thread.generation === aim.to && moved.has(thread.tid);
  for (let delay = FIRST_RETRY_MILLISECONDS; ; delay = Math.min(LAST_RETRY_MILLISECONDS, delay * 2)) {
    const pending: Pending[] = [];
    for (const thread of chosen()) {
      if (has(thread)) continue;
      const attempt = yield* moveThread(kernel, thread, aim);
      if (attempt.kind === 'pending') pending.push({ tid: thread.tid, reason: attempt.reason });
      else if (attempt.kind === 'moved') {
        moved.set(thread.tid, {
          tid: thread.tid,
          pauseMicroseconds: round(attempt.pauseMicroseconds),
          asleep: attempt.asleep,
        });
      }
    }
    if (process.ended || aim.to.ended) {
      throw new AtlasError(
        'no-such-process',
        process.ended
          ? `Process ${process.pid} ended while its threads were moved.`
          : `Generation ${aim.to.id} of process ${process.pid} was killed while threads were moved to it.`,
      );
    }
    const missing = chosen().filter((thread) => !has(thread));
    if (missing.length === 0) return { moved: [...moved.values()], pending: [] };
    if (performance.now() >= aim.deadline) {
      // Born in the last round, say: nobody has tried to move it.
      for (const { tid } of missing)
        if (!pending.some((entry) => entry.tid === tid))
          pending.push({ tid, reason: 'was not tried in time' });
      return { moved: [...moved.values()], pending };
    }
    yield* kernel.sleep(delay);
  }
}

const round = (microseconds: number): number => Math.round(microseconds * 10) / 10;
