/**
 * Who changes a process's generations, or in which one its threads live, or its text, has the process to himself: one
 * change after the other. A rollout and a settling may take long, and leave others a process that they did not
 * expect: nobody waits for them unasked.
 */
import { AtlasError } from '../errors/atlas-error.js';
import type { Kernel } from './kernel.js';
import type { Process } from './model.js';
import type { Steps } from './steps.js';

export type Change =
  | 'generation create'
  | 'generation delete'
  | 'write'
  | 'migrate'
  | 'settle'
  | 'patch apply';

const NOT_WAITED_FOR: ReadonlySet<string> = new Set<Change>(['settle', 'patch apply']);

/** What the process is being changed by, if by anything. */
export const underway = (process: Process): string | undefined => process.space.changeLock.holder;

/**
 * Runs `work` with the process to itself.
 * @param deadline for its turn to come, as performance.now() says
 * @param late what the answer is when the turn does not come; without it that is an error
 * @throws AtlasError `refused`, with the name of the change that is in the way
 */
export function* changing<T>(
  kernel: Kernel,
  process: Process,
  change: Change,
  deadline: number,
  work: () => Steps<T>,
  late?: (holder: string) => T,
): Steps<T> {
  const { space } = process;
  if (space.users > 1 && space.hostProcess !== process) {
    throw new AtlasError(
      'refused',
      `Process ${process.pid} lives in the memory of process ${space.hostProcess?.pid}, which made it.`,
      'It can be changed once it has executed a program of its own.',
    );
  }
  const { changeLock } = space;
  const { holder } = changeLock;
  if (holder !== undefined && NOT_WAITED_FOR.has(holder)) throw inTheWay(process, holder);
  using turn = yield* changeLock.acquireWithin(change, (condition) => kernel.within(condition, deadline));
  if (!turn) {
    const inFront = changeLock.holder ?? 'another change';
    if (late) return late(inFront);
    throw inTheWay(process, inFront);
  }
  if (process.ended || process.space !== space) {
    throw new AtlasError('no-such-process', `Process ${process.pid} has ended, or executes another program.`);
  }
  try {
    return yield* work();
  } catch (error) {
    if (error instanceof AtlasError || process.ended || process.space === space) throw error;
    throw new AtlasError(
      'no-such-process',
      `Process ${process.pid} has executed another program meanwhile.`,
      'What was asked for was meant for the old one.',
      { cause: error },
    );
  }
}

const inTheWay = (process: Process, holder: string): AtlasError =>
  new AtlasError(
    'refused',
    `\`${holder}\` of process ${process.pid} is under way.`,
    'Wait until it is over: `atlas patch status`, `atlas generation list`.',
  );
