/** Moving many threads, each at its own moment. */
import { forgetVisits } from '../process/breakpoints.js';
import type { Kernel } from '../process/kernel.js';
import type { Generation, Process, Thread } from '../process/model.js';
import type { Steps } from '../process/steps.js';
import { moveThread } from './move.js';
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
 * @param milliseconds after which threads that cannot move yet are given up
 */
export function* migrateThreads(
  kernel: Kernel,
  process: Process,
  to: Generation,
  milliseconds: number,
  options: MigrationOptions = {},
): Steps<Migration> {
  try {
    return yield* untilAllMoved(kernel, process, to, milliseconds, options);
  } finally {
    forgetVisits(process.space);
  }
}

function* untilAllMoved(
  kernel: Kernel,
  process: Process,
  to: Generation,
  milliseconds: number,
  options: MigrationOptions,
): Steps<Migration> {
  const moved = new Map<number, Moved>();
  const deadline = performance.now() + milliseconds;
  const chosen = (): Thread[] =>
    [...process.threads.values()].filter(
      (thread) => !options.threads || options.threads.includes(thread.tid),
    );
  for (let delay = FIRST_RETRY_MILLISECONDS; ; delay = Math.min(LAST_RETRY_MILLISECONDS, delay * 2)) {
    const pending: Pending[] = [];
    for (const thread of chosen()) {
      if (thread.generation === to && moved.has(thread.tid)) continue;
      const attempt = yield* moveThread(kernel, thread, to, options.judge);
      if (attempt.kind === 'pending') pending.push({ tid: thread.tid, reason: attempt.reason });
      else if (attempt.kind === 'moved') {
        moved.set(thread.tid, {
          tid: thread.tid,
          pauseMicroseconds: round(attempt.pauseMicroseconds),
          asleep: attempt.asleep,
        });
      }
    }
    const missing = chosen().some((thread) => thread.generation !== to || !moved.has(thread.tid));
    if (!missing || process.ended) return { moved: [...moved.values()], pending: [] };
    if (performance.now() >= deadline) return { moved: [...moved.values()], pending };
    if (pending.length > 0) yield* kernel.sleep(delay);
  }
}

const round = (microseconds: number): number => Math.round(microseconds * 10) / 10;
