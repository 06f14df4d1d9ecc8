/**
 * The same calls in the address spaces of the other generations: all agents work at once, each with one stop
 * for the whole list. The space's lock is held.
 */
import { Gone } from '../errors/gone.js';
import { c } from '../linux/ffi.js';
import { SIGKILL } from '../linux/signals.js';
import { GATE_LIST_ENTRIES } from '../x64/gate.js';
import { endStubProcess, releaseBaseAgent } from './generation.js';
import { aimAtGate, aimAtList, arrivalAtMarker, type BatchEntry, resultsOf } from './inject.js';
import type { Kernel } from './kernel.js';
import type { Generation, Process, Space } from './model.js';
import type { Steps } from './steps.js';

/** What a generation's agent was answered, in the order of the calls. */
export interface Answers {
  generation: Generation;
  results: number[];
}

/** A host process that has ended answers nothing, and has nothing that could differ. */
export function* callElsewhere(kernel: Kernel, space: Space, calls: readonly BatchEntry[]): Steps<Answers[]> {
  const generations = [...space.generations.values()].filter(({ agent, ended }) => agent && !ended);
  if (generations.length === 0 || calls.length === 0) return [];
  const answers = generations.map((generation): Answers => ({ generation, results: [] }));
  const room = Math.floor(GATE_LIST_ENTRIES / generations.length);
  for (let from = 0; from < calls.length; from += room)
    yield* part(kernel, space, answers, calls.slice(from, from + room), room);
  return answers.filter(({ generation }) => !generation.agent!.gone);
}

function* part(
  kernel: Kernel,
  space: Space,
  answers: readonly Answers[],
  calls: readonly BatchEntry[],
  room: number,
): Steps<void> {
  const turns: Disposable[] = [];
  try {
    for (const [index, { generation }] of answers.entries()) {
      turns.push(yield* generation.agentLock.acquire());
      yield* unlessGone(function* () {
        const agent = generation.agent!;
        agent.fetch();
        const [[nr, ...args]] = calls as [BatchEntry];
        if (calls.length === 1) aimAtGate(kernel, agent, nr, args);
        else aimAtList(kernel, agent, space.store, calls, index * room);
        agent.resume();
      });
    }
    for (const [index, { generation, results }] of answers.entries()) {
      yield* unlessGone(function* () {
        const result = yield* arrivalAtMarker(generation.agent!);
        if (calls.length === 1) results.push(result);
        else results.push(...resultsOf(space.store, calls.length, index * room));
      });
    }
  } finally {
    for (const turn of turns) turn[Symbol.dispose]();
  }
}

function* unlessGone(work: () => Steps<void>): Steps<void> {
  try {
    yield* work();
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
  }
}

/**
 * A generation whose address space could not follow: nothing may run in it any more. When no thread lives there it
 * is deleted; else the process ends, because to go on would be to go on with other memory than it believes in.
 */
export function* giveUpDiffering(kernel: Kernel, process: Process, generation: Generation): Steps<void> {
  const { space } = process;
  if (generation.ended) return;
  const inhabited = [...process.threads.values()].some((thread) => thread.generation === generation);
  kernel.emit('generation-differs', { pid: process.pid, generation: generation.id, inhabited });
  if (inhabited) {
    c.kill(process.pid, SIGKILL);
    return;
  }
  space.generations.delete(generation.id);
  yield* endStubProcess(kernel, space, generation);
  kernel.scheduler.start(`end of generation ${generation.id}`, releaseBaseAgent(kernel, process));
}
