/** `npm start`: live-patches a server under load, first without a barrier, then with one, and shows what happened. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import type { PatchStrategy } from '../src/api/client.js';
import { AtlasError, EXIT_CODE } from '../src/errors/atlas-error.js';
import { buildMemcached } from './build/memcached.js';
import { buildQuote } from './build/quote.js';
import type { Target } from './build/target.js';
import { Cleanup } from './demo/cleanup.js';
import { compareRollouts, describeRollout } from './demo/report.js';
import { type RolloutOutcome, type RolloutPlan, faultsOf, rollOut } from './demo/rollout.js';
import { buildPatch } from './demo/supervised.js';

const USAGE = `npm start                          patch the example server (examples/server/quote.c)
npm start -- --server memcached    patch memcached, built from Debian's source package
npm start -- --seconds N           the load before and after each rollout lasts N seconds (default 3)
`;

const startedAt = Date.now();

function progress(text: string): void {
  process.stdout.write(`[${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s] ${text}\n`);
}

interface Choice {
  server: 'quote' | 'memcached';
  seconds: number;
}

function parseCommandLine(): Choice | undefined {
  let values: { server: string; seconds: string; help: boolean };
  try {
    ({ values } = parseArgs({
      options: {
        server: { type: 'string', default: 'quote' },
        seconds: { type: 'string', default: '3' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new AtlasError('bad-usage', (error as Error).message, `Usage:\n${USAGE}`);
  }
  if (values.help) return undefined;
  const { server } = values;
  const seconds = Number(values.seconds);
  if (server !== 'quote' && server !== 'memcached')
    throw new AtlasError('bad-usage', `there is no example server "${server}"`, `Usage:\n${USAGE}`);
  if (!(seconds > 0 && seconds <= 600))
    throw new AtlasError('bad-usage', '--seconds takes a number between 0 and 600', `Usage:\n${USAGE}`);
  return { server, seconds };
}

function loadFor(server: Choice['server']): RolloutPlan['load'] {
  return server === 'quote'
    ? { protocol: 'quote', connections: 18, slowConnections: 2, requestsPerSecond: 3000 }
    : { protocol: 'memcached', connections: 16, slowConnections: 0, requestsPerSecond: 3000 };
}

async function demonstrate(choice: Choice, cleanup: Cleanup): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'atlas-demo-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  progress(`building ${choice.server} before and after a fix`);
  const target: Target =
    choice.server === 'quote'
      ? await buildQuote(folder)
      : await buildMemcached((text) => progress(`  ${text}`));
  progress(`the fix: ${target.fix}`);
  const patchFile = join(folder, `${target.name}.patch.o`);
  const short = (path: string): string => (path.startsWith(folder) ? relative(folder, path) : path);
  progress(`atlas patch build --old ${short(target.oldObjects)} --new ${short(target.newObjects)}`);
  const replaced = await buildPatch(target.oldObjects, target.newObjects, patchFile);
  progress(`  which replaces ${replaced.length} functions:`);
  for (const name of replaced) progress(`    ${name}`);

  const load = loadFor(choice.server);
  const outcomes: RolloutOutcome[] = [];
  for (const strategy of ['local', 'global'] satisfies PatchStrategy[]) {
    progress(
      `${strategy}: ${target.name} runs under Atlas, ${load.connections} connections ask ${load.requestsPerSecond} ` +
        `times a second`,
    );
    const outcome = await rollOut(
      {
        target,
        strategy,
        patchFile,
        load,
        millisecondsBefore: choice.seconds * 1000,
        millisecondsAfter: choice.seconds * 1000,
      },
      (server) => cleanup.add(() => server.stop()),
    );
    process.stdout.write(`\n${describeRollout(outcome)}\n`);
    outcomes.push(outcome);
  }
  process.stdout.write(`${compareRollouts(outcomes)}\n\n`);

  const faults = outcomes.flatMap((outcome) =>
    faultsOf(outcome).map((fault) => `${outcome.strategy}: ${fault}`),
  );
  const answers = outcomes.reduce((sum, outcome) => sum + outcome.recording.count, 0);
  if (faults.length === 0)
    process.stdout.write(
      `All right: ${answers} answers, each one checked, none wrong or lost; every thread went from the old code\n` +
        'to the new code once, and the server is one plain process again.\n',
    );
  else process.stdout.write(`Something was wrong:\n${faults.map((fault) => `  ${fault}\n`).join('')}`);
  return faults.length === 0;
}

const cleanup = new Cleanup();
try {
  const choice = parseCommandLine();
  if (choice === undefined) process.stdout.write(USAGE);
  else if (!(await demonstrate(choice, cleanup))) process.exitCode = 1;
} catch (error) {
  const failure = AtlasError.from(error);
  process.stderr.write(`\n${failure.message}\n${failure.advice === '' ? '' : `${failure.advice}\n`}`);
  process.exitCode = EXIT_CODE[failure.kind];
} finally {
  await cleanup.run();
}
