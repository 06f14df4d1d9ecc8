/** Applying a patch file to a running process: check everything, place the code, roll out, remember. */
import { AtlasError } from '../errors/atlas-error.js';
import { releaseBaseAgent, type StubFilter } from '../process/generation.js';
import type { Kernel } from '../process/kernel.js';
import type { AppliedPatchRecord, Process } from '../process/model.js';
import { pause, type Steps } from '../process/steps.js';
import { type AppliedPatches, planPatch, readPatch, rememberPatch } from '../patch/index.js';
import { rollOutGlobally } from './global.js';
import { placeImage } from './image.js';
import { type Rollout, rollOutLocally } from './local.js';
import { Judge } from './objection.js';
import { Modules, slotsOf, targetOf } from './program.js';

export interface PatchRequest {
  file: string;
  content: Uint8Array;
  strategy: 'local' | 'global';
  /** As performance.now() says. */
  deadline: number;
}

export interface PatchOutcome extends Rollout {
  patch: string;
  totalMilliseconds: number;
  warnings: string[];
}

export function* applyPatch(
  kernel: Kernel,
  process: Process,
  request: PatchRequest,
  filter: StubFilter,
): Steps<PatchOutcome> {
  const started = performance.now();
  if (process.space.generations.size > 1) {
    throw new AtlasError(
      'refused',
      `Process ${process.pid} has ${process.space.generations.size} generations.`,
      'Settle it first (`atlas settle`), so that it is clear what the patch changes.',
    );
  }
  const { deadline } = request;
  try {
    const modules = new Modules(process);
    const applied = process.patches.at(-1)?.leaves as AppliedPatches | undefined;
    const patch = readPatch(request.content, request.file);
    yield* pause(kernel.scheduler);
    const target = targetOf(process, modules, applied);
    yield* pause(kernel.scheduler);
    const plan = planPatch(patch, target);
    const places = plan.functions.map(({ name, ranges: own }) => ({
      name,
      ranges: [...own, ...slotsOf(process.space, own)],
    }));
    const ranges = places.flatMap((place) => place.ranges);
    const nameOf = (address: number): string =>
      places.find((place) => place.ranges.some((range) => range.start === address))?.name ??
      'a replaced function';
    const judge = new Judge(process, modules, ranges, nameOf);
    for (const _ of modules.load()) yield* pause(kernel.scheduler);
    for (const thread of process.threads.values()) {
      judge.rehearse(thread);
      yield* pause(kernel.scheduler);
    }
    const linked = yield* placeImage(kernel, process, plan, deadline);
    const record: AppliedPatchRecord = {
      name: patch.note.name,
      strategy: request.strategy,
      state: 'rolling-out',
      functions: plan.functions.map(({ name, address }) => ({ name, address })),
      leaves: rememberPatch(applied, linked),
    };
    process.patches.push(record);
    let rollout: Rollout;
    try {
      rollout =
        request.strategy === 'local'
          ? yield* rollOutLocally(kernel, process, linked, judge, filter, deadline)
          : yield* rollOutGlobally(kernel, process, linked, judge, deadline);
    } catch (error) {
      process.patches.splice(process.patches.indexOf(record), 1);
      throw error;
    }
    if (rollout.settled) record.state = 'settled';
    kernel.emit('patch-applied', {
      pid: process.pid,
      patch: record.name,
      strategy: record.strategy,
      settled: rollout.settled,
    });
    return {
      ...rollout,
      patch: record.name,
      warnings: patch.note.verdicts
        .filter(({ verdict }) => verdict === 'warning')
        .map(({ symbol, reason }) => `${symbol}: ${reason}`),
      totalMilliseconds: Math.round((performance.now() - started) * 10) / 10,
    };
  } finally {
    yield* releaseBaseAgent(kernel, process);
  }
}
