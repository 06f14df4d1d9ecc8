import type { Latencies } from '../load/latency.js';
import type { RolloutOutcome } from './rollout.js';
import { type Cell, duration, table } from './table.js';

const STRATEGY_IN_WORDS = {
  local: 'local: each thread moves at its own quiescent moment, nobody waits for anybody',
  global: 'global: all threads are brought to a halt first (the barrier, for comparison)',
} as const;

function threadTable(outcome: RolloutOutcome): string {
  const names = new Map(outcome.threads.map((thread) => [thread.tid, thread.name]));
  const histories = new Map(outcome.versions.threads.map((history) => [history.thread, history]));
  const showsAnswers = outcome.applied.threads.some((moved) => histories.has(moved.tid));
  const header = ['thread', 'tid', 'how it moved', 'pause'];
  if (showsAnswers) header.push('old answers', 'new answers', 'first new after');
  const rows: Cell[][] = [header];
  for (const moved of outcome.applied.threads) {
    const row: Cell[] = [
      names.get(moved.tid) ?? '?',
      moved.tid,
      moved.asleep ? 'asleep, not disturbed' : 'running',
      duration(moved.pauseMicroseconds),
    ];
    if (showsAnswers) {
      const history = histories.get(moved.tid);
      const first = history?.firstNewAt;
      row.push(
        history?.oldAnswers ?? '–',
        history?.newAnswers ?? '–',
        first === undefined ? '–' : duration((first - outcome.window.from) * 1000),
      );
    }
    rows.push(row);
  }
  return table(rows);
}

function latencyRow(name: string, { count, p50, p99, p999, max }: Latencies): Cell[] {
  return [name, count, duration(p50), duration(p99), duration(p999), duration(max)];
}

function latencyTable(outcome: RolloutOutcome): string {
  return table([
    ['requests', 'count', 'p50', 'p99', 'p99.9', 'max'],
    latencyRow('before', outcome.before),
    latencyRow('during the rollout', outcome.during),
    latencyRow('after', outcome.after),
  ]);
}

function versionTable(outcome: RolloutOutcome): string {
  const { before, during, after } = outcome.versions.counts;
  return table([
    ['answers that show their code', 'old', 'new'],
    ['before', before.old, before.new],
    ['during the rollout', during.old, during.new],
    ['after', after.old, after.new],
  ]);
}

/** Everything about one rollout, as text of at most 100 columns. */
export function describeRollout(outcome: RolloutOutcome): string {
  const { applied, recording } = outcome;
  const answers = `${recording.count} answers checked, ${recording.wrongAnswers} wrong`;
  const settled = applied.settled ? 'settled: one plain address space again' : 'NOT settled';
  return [
    STRATEGY_IN_WORDS[outcome.strategy],
    '',
    threadTable(outcome),
    '',
    latencyTable(outcome),
    '',
    versionTable(outcome),
    '',
    `  ${applied.threads.length} threads in ${duration(applied.totalMilliseconds * 1000)}; ${settled}; ${answers}.`,
    '',
  ].join('\n');
}

function longestPause(outcome: RolloutOutcome): number {
  return Math.max(0, ...outcome.applied.threads.map((thread) => thread.pauseMicroseconds));
}

export function compareRollouts(outcomes: RolloutOutcome[]): string {
  return table([
    ['strategy', 'longest pause', 'rollout took', 'p50 during', 'p99 during', 'max during', 'p99 before'],
    ...outcomes.map((outcome) => [
      outcome.strategy,
      duration(longestPause(outcome)),
      duration(outcome.applied.totalMilliseconds * 1000),
      duration(outcome.during.p50),
      duration(outcome.during.p99),
      duration(outcome.during.max),
      duration(outcome.before.p99),
    ]),
  ]);
}
