/** (c) What it takes to create a generation, by how much memory is resident: it should not matter. */
import { readFile } from 'node:fs/promises';
import { freePort } from '../examples/load/load.js';
import { whileItRuns } from '../examples/demo/supervised.js';
import type { BenchContext } from './context.js';
import { type Row, type Section, duration, median } from './format.js';

const MEGABYTES = [10, 100, 1024, 4096];
/** Left for everything else on the machine. */
const RESERVE_MEGABYTES = 1024;

async function availableMegabytes(): Promise<number> {
  const line = /^MemAvailable:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}

async function createAndDelete(context: BenchContext, megabytes: number, rounds: number): Promise<number[]> {
  const port = await freePort();
  const program = await context.program('resident');
  const server = await context.supervise([program, String(port), String(megabytes)], port);
  return whileItRuns(server, async () => {
    const microseconds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const created = await server.client.request('generation.create', { process: server.name });
      microseconds.push(created.microseconds);
      await server.client.request('generation.delete', {
        process: server.name,
        generation: created.generation,
      });
    }
    return microseconds;
  });
}

function row(megabytes: number, microseconds: number[]): Row {
  return {
    name: `generation create, ${megabytes} MB resident`,
    value: duration(median(microseconds)),
    beside: `min ${duration(Math.min(...microseconds))}, max ${duration(Math.max(...microseconds))}`,
    goal: '≤ 2 ms, flat',
  };
}

export async function benchGeneration(context: BenchContext): Promise<Section> {
  const { quick } = context.options;
  const rows: Row[] = [];
  const notes: string[] = [];
  const failures: string[] = [];
  const data: { megabytes: number; microseconds: number[] }[] = [];
  for (const megabytes of quick ? MEGABYTES.slice(0, 3) : MEGABYTES) {
    const available = Math.floor(await availableMegabytes());
    if (available < megabytes + RESERVE_MEGABYTES) {
      notes.push(
        `${megabytes} MB left out: ${available} MB available, ${megabytes + RESERVE_MEGABYTES} MB needed`,
      );
      continue;
    }
    context.progress(`  ${megabytes} MB resident`);
    try {
      const microseconds = await createAndDelete(context, megabytes, quick ? 5 : 20);
      data.push({ megabytes, microseconds });
      rows.push(row(megabytes, microseconds));
    } catch (error) {
      failures.push(`${megabytes} MB: ${(error as Error).message}`);
    }
  }
  return {
    name: 'generation',
    title: 'creation of a generation by resident memory',
    rows,
    data,
    notes,
    failures,
  };
}
