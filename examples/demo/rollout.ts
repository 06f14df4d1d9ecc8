import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppliedPatch, PatchStrategy, ThreadInfo } from '../../src/api/client.js';
import type { Target } from '../build/target.js';
import { now } from '../load/clock.js';
import { type Latencies, type Window, latenciesIn } from '../load/latency.js';
import { Load, type LoadOptions, freePort } from '../load/load.js';
import type { Recording } from '../load/recording.js';
import { type Versions, judgeVersions } from '../load/versions.js';
import { SupervisedServer, whileItRuns } from './supervised.js';

export interface RolloutPlan {
  target: Target;
  strategy: PatchStrategy;
  patchFile: string;
  load: Omit<LoadOptions, 'port' | 'capacity'>;
  millisecondsBefore: number;
  millisecondsAfter: number;
}

export interface RolloutOutcome {
  strategy: PatchStrategy;
  applied: AppliedPatch;
  /** The server's threads as they were just before the rollout. */
  threads: ThreadInfo[];
  generationsAfter: number[];
  /** From the request to patch until its answer. */
  window: Window;
  recording: Recording;
  versions: Versions;
  before: Latencies;
  during: Latencies;
  after: Latencies;
}

const WARM_UP_MILLISECONDS = 500;

async function underLoad(plan: RolloutPlan, server: SupervisedServer, load: Load): Promise<RolloutOutcome> {
  await sleep(WARM_UP_MILLISECONDS);
  const warm = now();
  await sleep(plan.millisecondsBefore);
  const { client, name } = server;
  const { threads } = await client.request('threads', { process: name });
  const content = (await readFile(plan.patchFile)).toString('base64');
  const from = now();
  const applied = await client.request('patch.apply', {
    process: name,
    strategy: plan.strategy,
    file: basename(plan.patchFile),
    content,
    timeoutMilliseconds: 30_000,
  });
  const window = { from, to: now() };
  await sleep(plan.millisecondsAfter);
  const recording = await load.stop();
  const { processes } = await client.request('ps', {});
  return {
    strategy: plan.strategy,
    applied,
    threads,
    generationsAfter: processes.find((process) => process.pid === server.pid)?.generations ?? [],
    window,
    recording,
    versions: judgeVersions(recording, window),
    before: latenciesIn(recording, { from: warm, to: window.from }),
    during: latenciesIn(recording, window),
    after: latenciesIn(recording, { from: window.to, to: Number.POSITIVE_INFINITY }),
  };
}

/** Starts the server under Atlas, puts it under load, patches it meanwhile, and ends it. */
export async function rollOut(
  plan: RolloutPlan,
  onServer?: (server: SupervisedServer) => void,
): Promise<RolloutOutcome> {
  const port = await freePort();
  const name = `${plan.target.name}-${plan.strategy}-${process.pid}`;
  const server = await SupervisedServer.start(name, plan.target.serve(port), port, dirname(plan.patchFile));
  onServer?.(server);
  return whileItRuns(server, async () => {
    const seconds = (WARM_UP_MILLISECONDS + plan.millisecondsBefore + plan.millisecondsAfter) / 1000 + 40;
    const perSecond = plan.load.requestsPerSecond === 0 ? 100_000 : plan.load.requestsPerSecond + 1000;
    const load = new Load({ ...plan.load, port, capacity: Math.ceil(seconds * perSecond) });
    try {
      return await underLoad(plan, server, load);
    } finally {
      await load.abandon();
    }
  });
}

/** What went wrong, in words; empty when every answer was right and the process is plain again. */
export function faultsOf(outcome: RolloutOutcome): string[] {
  const { recording, versions, applied, generationsAfter } = outcome;
  const faults = [...recording.complaints, ...versions.violations];
  if (recording.wrongAnswers > 0) faults.push(`${recording.wrongAnswers} wrong answers`);
  if (recording.failures > 0) faults.push(`${recording.failures} broken connections or unanswered requests`);
  if (versions.counts.before.old === 0) faults.push('no answer of the old code was seen before the rollout');
  if (versions.counts.after.new === 0) faults.push('no answer of the new code was seen after the rollout');
  if (!applied.settled) faults.push('the patch did not settle');
  if (generationsAfter.join() !== '0')
    faults.push(`generations after settling: ${generationsAfter.join(', ')}`);
  return faults;
}
