/** (a) Throughput under Atlas over native, in alternating pairs; nothing is being patched meanwhile. */
import { CpuShare } from './cpu-share.js';
import type { BenchContext, Server } from './context.js';
import { type Row, type Section, median, quantile, ratio, thousands } from './format.js';
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

interface Side {
  run(seconds: number): Promise<Record<string, number>>;
  server?: Server;
}

interface Measured {
  workload: string;
  operation: string;
  pairs: Pair[];
  medianRatio: number;
  /** How many cores the supervisor used while the server under Atlas was being measured; NaN for programs. */
  supervisorCores: number;
}

export const WORKLOADS: Workload[] = [
  redisWorkload,
  memcachedWorkload,
  nginxWorkload,
  mariadbWorkload,
  ...programWorkloads,
];

/** Both halves of a pair, `atlasFirst` or not: a drift of the machine must favour neither. */
async function measurePair(
  sides: { native: Side; atlas: Side },
  atlasFirst: boolean,
  seconds: number,
): Promise<{ native: Record<string, number>; atlas: Record<string, number>; cpu: CpuShare }> {
  const early = atlasFirst ? undefined : await sides.native.run(seconds);
  const share = new CpuShare(sides.atlas.server?.supervisorPid);
  const atlas = await sides.atlas.run(seconds);
  share.stop();
  return { native: early ?? (await sides.native.run(seconds)), atlas, cpu: share };
}

/**
 * Both sides are up all the time and take turns: an idle server costs nothing, and a pair is so short that the
 * machine's mood is the same for both halves of it.
 */
async function measure(context: BenchContext, workload: Workload): Promise<Measured[]> {
  const pairs = context.options.quick ? 2 : workload.pairs;
  const seconds = context.options.quick ? 1 : workload.seconds;
  const servers: Server[] = [];
  const prepare = async (underAtlas: boolean): Promise<Side> => {
    context.progress(`  ${workload.name}: starting ${underAtlas ? 'under Atlas' : 'natively'}`);
    const side = await workload.prepare(context, underAtlas);
    if (side.server !== undefined) servers.push(side.server);
    // The first sample is cold: caches, connections, the branch predictors.
    await side.run(seconds / 2);
    return side;
  };
  try {
    const sides = { native: await prepare(false), atlas: await prepare(true) };
    const results = new Map<string, Measured>();
    const cores: number[] = [];
    for (let pair = 1; pair <= pairs; pair++) {
      const { native, atlas, cpu } = await measurePair(sides, pair % 2 === 0, seconds);
      cores.push(cpu.cores);
      const said: string[] = [];
      for (const operation of Object.keys(native)) {
        const result = results.get(operation) ?? {
          workload: workload.name,
          operation,
          pairs: [],
          medianRatio: Number.NaN,
          supervisorCores: Number.NaN,
        };
        results.set(operation, result);
        result.pairs.push({ native: native[operation]!, atlas: atlas[operation]! });
        result.medianRatio = median(result.pairs.map((done) => done.atlas / done.native));
        result.supervisorCores = median(cores);
        said.push(`${operation} ${ratio(atlas[operation]! / native[operation]!)}`);
      }
      context.progress(`  ${workload.name}: pair ${pair} of ${pairs}: ${said.join(', ')}`);
    }
    return [...results.values()];
  } finally {
    for (const server of servers) await server.stop();
  }
}

function row({ workload, operation, pairs, medianRatio, supervisorCores }: Measured): Row {
  const ratios = pairs.map((pair) => pair.atlas / pair.native);
  const native = thousands(median(pairs.map((pair) => pair.native)));
  const atlas = thousands(median(pairs.map((pair) => pair.atlas)));
  return {
    name: `${workload} ${operation}, throughput`,
    value: ratio(medianRatio),
    beside:
      `${atlas}/s, native ${native}/s; half of ${ratios.length} pairs in ${ratio(quantile(ratios, 0.25))}–${ratio(quantile(ratios, 0.75))}` +
      (Number.isNaN(supervisorCores) ? '' : `; ${supervisorCores.toFixed(2)} cpu`),
    goal: '≥ 0.97',
  };
}

export async function benchThroughput(context: BenchContext): Promise<Section> {
  const { servers } = context.options;
  const measured: Measured[] = [];
  const notes: string[] = [];
  const failures: string[] = [];
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
      failures.push(`${workload.name}: ${(error as Error).message}`);
    }
  }
  return {
    name: 'throughput',
    title: 'throughput under Atlas over native, median of alternating pairs',
    rows: measured.map(row),
    data: measured,
    notes,
    failures,
  };
}
