/** `npm run bench`: measures what Atlas costs, prints one table, and leaves the numbers in bench/results/. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { AtlasError, EXIT_CODE } from '../src/errors/atlas-error.js';
import { repositoryRoot } from '../examples/build/target.js';
import { Cleanup } from '../examples/demo/cleanup.js';
import { BenchContext, type BenchOptions } from './context.js';
import { type Section, renderSections } from './format.js';
import { benchGeneration } from './generation.js';
import { benchMapping } from './mapping.js';
import { benchMigration } from './migration.js';
import { benchRollout } from './rollout.js';
import { WORKLOADS, benchThroughput } from './throughput.js';

const BENCHES = {
  throughput: benchThroughput,
  migration: benchMigration,
  generation: benchGeneration,
  rollout: benchRollout,
  mapping: benchMapping,
} as const;
type BenchName = keyof typeof BENCHES;

const USAGE = `npm run bench                               everything, in less than ten minutes
npm run bench -- --quick                    everything, with few samples, in less than two
npm run bench -- migration rollout          these only: ${Object.keys(BENCHES).join(', ')}
npm run bench -- throughput --server redis  this server or program only (may be repeated):
                                            ${WORKLOADS.map((workload) => workload.name).join(', ')}
`;

function isBenchName(name: string): name is BenchName {
  return Object.hasOwn(BENCHES, name);
}

function parseCommandLine(): { names: BenchName[]; options: BenchOptions } | undefined {
  const usage = (message: string): AtlasError => new AtlasError('bad-usage', message, `Usage:\n${USAGE}`);
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        server: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw usage((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const unknown = positionals.find((name) => !isBenchName(name));
  if (unknown !== undefined) throw usage(`there is no bench "${unknown}"`);
  const server = values.server.find((name) => !WORKLOADS.some((workload) => workload.name === name));
  if (server !== undefined) throw usage(`there is no server or program "${server}" to measure`);
  const names =
    positionals.length > 0 ? positionals.filter(isBenchName) : (Object.keys(BENCHES) as BenchName[]);
  return { names, options: { quick: values.quick, servers: values.server } };
}

async function writeResults(options: BenchOptions, sections: Section[]): Promise<string> {
  const date = new Date().toISOString();
  const folder = join(repositoryRoot(), 'bench/results');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${date.replaceAll(':', '-')}.json`);
  const machine = {
    kernel: release(),
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
  };
  const results = sections.map(({ name, title, rows, notes, failures, data }) => ({
    name,
    title,
    rows,
    notes,
    failures,
    data,
  }));
  await writeFile(file, `${JSON.stringify({ date, machine, options, results }, undefined, 2)}\n`);
  return relative(process.cwd(), file);
}

async function bench(names: BenchName[], options: BenchOptions, cleanup: Cleanup): Promise<void> {
  const startedAt = Date.now();
  const progress = (text: string): void => {
    process.stderr.write(`[${((Date.now() - startedAt) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
  };
  const folder = await mkdtemp(join(tmpdir(), 'atlas-bench-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const context = new BenchContext(options, folder, cleanup, progress);
  const sections: Section[] = [];
  for (const name of names) {
    progress(name);
    try {
      sections.push(await BENCHES[name](context));
    } catch (error) {
      // One sub-bench that cannot run does not take the others' numbers with it.
      const failures = [AtlasError.from(error).message];
      sections.push({ name, title: name, rows: [], data: null, notes: [], failures });
    }
  }
  process.stdout.write(`\n${renderSections(sections)}\n`);
  if (sections.some((section) => section.failures.length > 0)) process.exitCode = 1;
  process.stdout.write(`The numbers are in ${await writeResults(options, sections)}\n`);
}

const cleanup = new Cleanup();
try {
  const command = parseCommandLine();
  if (command === undefined) process.stdout.write(USAGE);
  else await bench(command.names, command.options, cleanup);
} catch (error) {
  const failure = AtlasError.from(error);
  process.stderr.write(`${failure.message}\n${failure.advice}\n`);
  process.exitCode = EXIT_CODE[failure.kind];
} finally {
  await cleanup.run();
}
