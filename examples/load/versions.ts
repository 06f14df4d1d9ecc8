import type { Window } from './latency.js';
import type { Recording } from './recording.js';

/** What one thread of the server (or the thread behind one connection) answered. */
export interface ThreadHistory {
  thread: number;
  oldAnswers: number;
  newAnswers: number;
  /** When the first answer of the new code arrived. */
  firstNewAt: number | undefined;
}

/** How many answers of old and new code: finished before the rollout, touching it, and asked for after it. */
export interface VersionCounts {
  before: { old: number; new: number };
  during: { old: number; new: number };
  after: { old: number; new: number };
}

export interface Versions {
  counts: VersionCounts;
  threads: ThreadHistory[];
  /** What should be impossible, in words. */
  violations: string[];
}

export function judgeVersions(recording: Recording, rollout: Window): Versions {
  const counts: VersionCounts = {
    before: { old: 0, new: 0 },
    during: { old: 0, new: 0 },
    after: { old: 0, new: 0 },
  };
  const threads = new Map<number, ThreadHistory & { lastOldTurn: number; firstNewTurn: number }>();
  for (let i = 0; i < recording.count; i++) {
    const version = recording.version[i];
    if (version === 0) continue;
    const from = recording.startedAt[i]!;
    const to = from + recording.microseconds[i]! / 1000;
    const count = to < rollout.from ? counts.before : from > rollout.to ? counts.after : counts.during;
    const thread = recording.thread[i]!;
    let history = threads.get(thread);
    if (history === undefined) {
      history = {
        thread,
        oldAnswers: 0,
        newAnswers: 0,
        firstNewAt: undefined,
        lastOldTurn: 0,
        firstNewTurn: Number.POSITIVE_INFINITY,
      };
      threads.set(thread, history);
    }
    if (version === 1) {
      count.old++;
      history.oldAnswers++;
      history.lastOldTurn = Math.max(history.lastOldTurn, recording.turn[i]!);
    } else {
      count.new++;
      history.newAnswers++;
      history.firstNewTurn = Math.min(history.firstNewTurn, recording.turn[i]!);
      history.firstNewAt = Math.min(history.firstNewAt ?? to, to);
    }
  }
  const violations: string[] = [];
  if (counts.before.new > 0)
    violations.push(`${counts.before.new} answers of the new code before the rollout`);
  if (counts.after.old > 0) violations.push(`${counts.after.old} answers of the old code after the rollout`);
  for (const history of threads.values())
    if (history.firstNewTurn < history.lastOldTurn)
      violations.push(`thread ${history.thread} went back to the old code`);
  return { counts, threads: [...threads.values()].toSorted((a, b) => a.thread - b.thread), violations };
}
