/** (b) The pause of a migrating thread under load, beside what one wake-up of another core costs on this machine. */
import type { AtlasClient } from '../src/api/client.js';
import { run } from '../examples/build/command.js';
import { buildQuote } from '../examples/build/quote.js';
import { percentile } from '../examples/load/latency.js';
import { Load, freePort } from '../examples/load/load.js';
import { whileItRuns } from '../examples/demo/supervised.js';
import type { BenchContext } from './context.js';
import { type Row, type Section, duration } from './format.js';

interface Pauses {
  running: number[];
  asleep: number[];
  pending: number;
}

async function migrateAll(client: AtlasClient, process: string, to: number, pauses: Pauses): Promise<void> {
  const { moved, pending } = await client.request('migrate', { process, to, timeoutMilliseconds: 10_000 });
  for (const thread of moved) (thread.asleep ? pauses.asleep : pauses.running).push(thread.pauseMicroseconds);
  pauses.pending += pending.length;
}

async function measure(context: BenchContext, rounds: number): Promise<{ pauses: Pauses; wrong: number }> {
  const target = await buildQuote(await context.subfolder('migration'));
  const port = await freePort();
  const server = await context.supervise(target.serve(port), port);
  return whileItRuns(server, async () => {
    const load = new Load({
      protocol: 'quote',
      port,
      connections: 18,
      slowConnections: 2,
      requestsPerSecond: 6000,
      capacity: 2_000_000,
    });
    try {
      const pauses: Pauses = { running: [], asleep: [], pending: 0 };
      for (let round = 0; round < rounds; round++) {
        const { generation } = await server.client.request('generation.create', { process: server.name });
        await migrateAll(server.client, server.name, generation, pauses);
        await migrateAll(server.client, server.name, 0, pauses);
        await server.client.request('generation.delete', { process: server.name, generation });
      }
      const recording = await load.stop();
      return { pauses, wrong: recording.wrongAnswers + recording.failures };
    } finally {
      await load.abandon();
    }
  });
}

function row(kind: string, pauses: number[], goal: string): Row {
  const sorted = Float64Array.from(pauses).toSorted();
  return {
    name: `pause of a ${kind} thread`,
    value: `p50 ${duration(percentile(sorted, 0.5))}, p99 ${duration(percentile(sorted, 0.99))}`,
    beside: `max ${duration(percentile(sorted, 1))}; ${pauses.length} moves`,
    goal,
  };
}

export async function benchMigration(context: BenchContext): Promise<Section> {
  const notes: string[] = [];
  const wakeUp = await run([await context.program('wake-up'), context.options.quick ? '2000' : '10000']);
  const [p50, p99, max] = wakeUp.stdout.split(' ').map(Number);
  if (wakeUp.code !== 0) notes.push('wake-up across cores left out: it needs two cores');
  const { pauses, wrong } = await measure(context, context.options.quick ? 5 : 30);
  const failures: string[] = [];
  if (wrong > 0) failures.push(`${wrong} wrong or missing answers while threads migrated`);
  if (pauses.pending > 0) failures.push(`${pauses.pending} moves were not finished within 10 s`);
  const rows = [
    row('running', pauses.running, 'p50 ≤ 150 µs, p99 ≤ 1 ms'),
    row('sleeping', pauses.asleep, ''),
  ];
  if (wakeUp.code === 0)
    rows.push({
      name: 'wake-up of another core',
      value: `p50 ${duration(p50!)}, p99 ${duration(p99!)}`,
      beside: `max ${duration(max!)}`,
      goal: '',
    });
  return {
    name: 'migration',
    title: 'pause of a migrating thread',
    rows,
    data: { pauses, wrongAnswers: wrong, wakeUpMicroseconds: { p50, p99, max } },
    notes,
    failures,
  };
}
