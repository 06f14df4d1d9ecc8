/** (a) Throughput under Atlas over native, in alternating pairs; nothing is being patched meanwhile. */
import type { BenchContext, Server } from './context.js';
import { type Row, type Section, median, ratio, thousands } from './format.js';
import { programWorkloads } from './workloads/programs.js';
import { memcachedWorkload } from './workloads/memcached.js';
import { mariadbWorkload } from './workloads/mariadb.js';
import { nginxWorkload } from './workloads/nginx.js';
import { redisWorkload } from './workloads/redis.js';
import type { Workload } from './workloads/workload.js';

interface Pair {
  native: number;
  atlas: number;
}

interface Measured {
  workload: string;
  operation: string;
  pairs: Pair[];
  medianRatio: number;
}

export const WORKLOADS: Workload[] = [
  redisWorkload,
  memcachedWorkload,
  nginxWorkload,
  mariadbWorkload,
  ...programWorkloads,
];

/**
 * Both sides are up all the time and take turns: an idle server costs nothing, and a pair is so short that the
 * machine's mood is the same for both halves of it.
 */
async function measure(context: BenchContext, workload: Workload): Promise<Measured[]> {
  const pairs = context.options.quick ? 2 : workload.pairs;
  const seconds = context.options.quick ? 1 : workload.seconds;
  const sides: {
    underAtlas: boolean;
    run: (seconds: number) => Promise<Record<string, number>>;
    server?: Server;
  }[] = [];
  try {
    for (const underAtlas of [false, true]) {
      context.progress(`  ${workload.name}: starting ${underAtlas ? 'under Atlas' : 'natively'}`);
      const prepared = await workload.prepare(context, underAtlas);
      sides.push({ underAtlas, ...prepared });
    }
    const [native, atlas] = sides;
    const warm = [await native!.run(seconds / 2), await atlas!.run(seconds / 2)];
    const operations = Object.keys(warm[0]!);
    const results = operations.map(
      (operation): Measured => ({ workload: workload.name, operation, pairs: [], medianRatio: Number.NaN }),
    );
    for (let pair = 1; pair <= pairs; pair++) {
      // Alternately who is first: a drift of the machine favours neither.
      const first = pair % 2 === 1 ? native! : atlas!;
      const firstResult = await first.run(seconds);
      const secondResult = await (first === native ? atlas! : native!).run(seconds);
      const [nativeResult, atlasResult] =
        first === native ? [firstResult, secondResult] : [secondResult, firstResult];
      for (const result of results)
        result.pairs.push({ native: nativeResult[result.operation]!, atlas: atlasResult[result.operation]! });
      context.progress(
        `  ${workload.name}: pair ${pair} of ${pairs}: ` +
          results
            .map(
              ({ operation, pairs: done }) =>
                `${operation} ${ratio(done.at(-1)!.atlas / done.at(-1)!.native)}`,
            )
            .join(', '),
      );
    }
    for (const result of results)
      result.medianRatio = median(result.pairs.map((pair) => pair.atlas / pair.native));
    return results;
  } finally {
    for (const side of sides) await side.server?.stop();
  }
}

function row({ workload, operation, pairs, medianRatio }: Measured): Row {
  const ratios = pairs.map((pair) => pair.atlas / pair.native);
  const native = thousands(median(pairs.map((pair) => pair.native)));
  const atlas = thousands(median(pairs.map((pair) => pair.atlas)));
  return {
    name: `throughput ${workload} ${operation}`,
    value: ratio(medianRatio),
    beside: `${atlas}/s, native ${native}/s; ${ratio(Math.min(...ratios))}–${ratio(Math.max(...ratios))}`,
    goal: '≥ 0.97',
  };
}

export async function benchThroughput(context: BenchContext): Promise<Section> {
  const { servers } = context.options;
  const measured: Measured[] = [];
  const notes: string[] = [];
  for (const workload of WORKLOADS) {
    if (servers.length > 0 && !servers.includes(workload.name)) continue;
    const missing = await workload.missing();
    if (missing !== undefined) {
      notes.push(`${workload.name} left out: ${missing}`);
      continue;
    }
    try {
      measured.push(...(await measure(context, workload)));
    } catch (error) {
      notes.push(`${workload.name} failed: ${(error as Error).message}`);
    }
  }
  return {
    name: 'throughput',
    title: 'throughput under Atlas over native, median of alternating pairs',
    rows: measured.map(row),
    data: measured,
    notes,
  };
}
