/** (d) Request latencies in the rollout's window over windows of the same length without a rollout. */
import { join } from 'node:path';
import type { PatchStrategy } from '../src/api/client.js';
import { buildQuote } from '../examples/build/quote.js';
import { type RolloutOutcome, faultsOf, rollOut } from '../examples/demo/rollout.js';
import { buildPatch } from '../examples/demo/supervised.js';
import { type Latencies, type Window, microsecondsIn, summarize } from '../examples/load/latency.js';
import type { BenchContext } from './context.js';
import { type Row, type Section, duration, ratio } from './format.js';

/** A shorter rollout is looked at in a window of this length: in less, there is no 99th percentile to speak of. */
const SHORTEST_WINDOW_MILLISECONDS = 100;
const QUIET_WINDOWS = 5;

interface Compared {
  strategy: PatchStrategy;
  rollouts: { milliseconds: number; windowMilliseconds: number }[];
  quiet: Latencies;
  during: Latencies;
  wrongAnswers: number;
}

/** The window of a rollout, and the windows of the same length just before it. */
function windowsOf(outcome: RolloutOutcome): { during: Window; quiet: Window[] } {
  const { from, to } = outcome.window;
  const length = Math.max(to - from, SHORTEST_WINDOW_MILLISECONDS);
  const quiet = Array.from({ length: QUIET_WINDOWS }, (_, i) => ({
    from: from - (i + 1) * length,
    to: from - i * length,
  }));
  return { during: { from, to: from + length }, quiet };
}

function concatenate(parts: Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function compare(strategy: PatchStrategy, outcomes: RolloutOutcome[]): Compared {
  const quiet: Float64Array[] = [];
  const during: Float64Array[] = [];
  for (const outcome of outcomes) {
    const windows = windowsOf(outcome);
    during.push(microsecondsIn(outcome.recording, windows.during));
    for (const window of windows.quiet) quiet.push(microsecondsIn(outcome.recording, window));
  }
  return {
    strategy,
    rollouts: outcomes.map((outcome) => {
      const { during: window } = windowsOf(outcome);
      return { milliseconds: outcome.applied.totalMilliseconds, windowMilliseconds: window.to - window.from };
    }),
    quiet: summarize(concatenate(quiet)),
    during: summarize(concatenate(during)),
    wrongAnswers: outcomes.reduce(
      (sum, { recording }) => sum + recording.wrongAnswers + recording.failures,
      0,
    ),
  };
}

function rowsOf({ strategy, quiet, during }: Compared): Row[] {
  const row = (name: string, with_: number, without: number): Row => ({
    name: `${name} in a ${strategy} rollout`,
    value: ratio(with_ / without),
    beside: `${duration(with_)}, without a rollout ${duration(without)}`,
    goal: strategy === 'local' ? '≤ 1.1' : '',
  });
  return [
    row('request p50', during.p50, quiet.p50),
    row('request p99', during.p99, quiet.p99),
    row('request p99.9', during.p999, quiet.p999),
  ];
}

export async function benchRollout(context: BenchContext): Promise<Section> {
  const folder = await context.subfolder('rollout');
  const target = await buildQuote(folder);
  const patchFile = join(folder, 'quote.patch.o');
  await buildPatch(target.oldObjects, target.newObjects, patchFile);
  const rounds = context.options.quick ? 2 : 8;
  const failures: string[] = [];
  const compared: Compared[] = [];
  for (const strategy of ['local', 'global'] satisfies PatchStrategy[]) {
    const outcomes: RolloutOutcome[] = [];
    for (let round = 1; round <= rounds; round++) {
      context.progress(`  ${strategy}, ${round} of ${rounds}`);
      const outcome = await rollOut(
        {
          target,
          strategy,
          patchFile,
          load: { protocol: 'quote', connections: 18, slowConnections: 2, requestsPerSecond: 3000 },
          millisecondsBefore: 1000,
          millisecondsAfter: 300,
        },
        (server) => context.cleanup.add(() => server.stop()),
      );
      outcomes.push(outcome);
      failures.push(...faultsOf(outcome).map((fault) => `${strategy}, ${round}: ${fault}`));
    }
    compared.push(compare(strategy, outcomes));
  }
  return {
    name: 'rollout',
    title: 'request latency in the rollout window over the same window without a rollout',
    rows: compared.flatMap(rowsOf),
    data: compared,
    notes: [],
    failures,
  };
}
