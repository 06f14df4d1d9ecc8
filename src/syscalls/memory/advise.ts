/**
 * madvise. The store's mappings stand for private memory, of which an advice may mean something else than
 * of shared memory: each one is done as the kernel does it for private memory, or refused as by a kernel
 * that does not have it yet, and one that we do not know is refused.
 */
import { EACCES, EINVAL, ENOMEM, EPERM, isError } from '../../linux/errno.js';
import type { MapsLine } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { PAGE } from '../../memory/store.js';
import { mayBeForeign } from '../../process/foreign.js';
import { fillFromFile } from '../../process/mapped-file.js';
import { sweepKeptPages, wantsSweep } from '../../process/kept-pages.js';
import { isStoreArea } from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import type { Registers } from '../../x64/registers.js';
import { HINTS, MADV } from '../advice.js';
import type { WatchedRange } from '../../process/watched.js';
import type { Performer } from '../performer.js';
import { overlapping, pinsMemory, rangeOf, TASK_SIZE } from './ranges.js';

/** The gate's table of kept pages is in order again before long; the caller does not wait for that. */
export function sweepIfWanted({ kernel }: Performer, space: Space): void {
  if (wantsSweep(space)) kernel.scheduler.start(`sweep of ${space.hostPid}`, sweepKeptPages(kernel, space));
}

export function* madvise(perform: Performer, space: Space, regs: Registers): Steps<number> {
  sweepIfWanted(perform, space);
  const { start, isRange, ...range } = rangeOf(regs);
  let { length } = range;
  const advice = regs.int('rdx');
  if (HINTS.has(advice)) return yield* perform.everywhere(SYS.madvise, start, length, advice);
  if (!HANDLED.has(advice)) return -EINVAL;
  if (length === 0 && start % PAGE === 0) return 0;
  // A range may reach beyond user space, and holds what is there, unless its end has no number.
  if (!isRange && start % PAGE === 0 && start < TASK_SIZE && start + length < 2 ** 64)
    length = TASK_SIZE - start;
  else if (!isRange) return yield* perform.own();
  switch (advice) {
    case MADV.DONTNEED:
    case MADV.FREE:
      if (isPlainStore(space, start, length)) return yield* freeStore(perform, space, start, length);
      return yield* walk(perform, space, start, length, advice);
    case MADV.DONTNEED_LOCKED:
    case MADV.REMOVE:
    case MADV.WIPEONFORK:
    case MADV.KEEPONFORK:
      return yield* walk(perform, space, start, length, advice);
    default:
      return yield* mark(perform, space, start, length, advice);
  }
}

/** Nothing but anonymous memory of the store, or nothing at all, can be in the range: no area has to be looked at. */
const isPlainStore = (space: Space, start: number, length: number): boolean =>
  !pinsMemory(space) &&
  !mayBeForeign(space, start, length) &&
  filesIn(space, start, start + length).length === 0;

function* freeStore(perform: Performer, space: Space, start: number, length: number): Steps<number> {
  const result = yield* perform.home(SYS.madvise, start, length, MADV.DONTNEED);
  // Over a hole the rest is freed all the same.
  if (!isError(result) || result === -ENOMEM) space.store.punch(start, length);
  return result;
}

/** DONTFORK, DOFORK. In the base only: the marks matter to the program's own forks, which the base makes. */
function* mark(
  perform: Performer,
  space: Space,
  start: number,
  length: number,
  advice: number,
): Steps<number> {
  space.usesDontFork = true;
  if (!space.sealed.some((range) => range.start < start + length && range.end > start))
    return yield* perform.home(SYS.madvise, start, length, advice);
  // What is sealed is marked already, and must stay so.
  const areas = overlapping(space, start, length);
  const isFile = filesIn(space, start, start + length).length > 0;
  const refused = areas.some((area) => !isFile && forbidden(space, area, start, start + length));
  return advice === MADV.DONTFORK && refused ? -EPERM : 0;
}

/**
 * MADV_GUARD_INSTALL would leave the store's pages behind the guards, and
 * a fork child's new mappings would not have them: EINVAL, as before Linux 6.13.
 */
const HANDLED: ReadonlySet<number> = new Set([
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.FREE,
  MADV.REMOVE,
  MADV.DONTFORK,
  MADV.DOFORK,
  MADV.WIPEONFORK,
  MADV.KEEPONFORK,
]);

/** Area by area, as the kernel does it: what comes before an error is done; a hole is told at the end. */
function* walk(
  perform: Performer,
  space: Space,
  start: number,
  length: number,
  advice: number,
): Steps<number> {
  const end = start + length;
  let unmapped = 0;
  let at = start;
  for (const area of overlapping(space, start, length)) {
    if (area.start > at) unmapped = -ENOMEM;
    const from = Math.max(at, area.start);
    at = Math.min(area.end, end);
    const result = isStoreArea(area)
      ? yield* discard(perform, space, area, from, at, advice)
      : yield* adviseForeign(perform, space, area, from, at, advice);
    if (isError(result)) return result;
  }
  return at < end ? -ENOMEM : unmapped;
}

const filesIn = (space: Space, start: number, end: number): WatchedRange[] =>
  space.watched.overlapping(start, end).filter(({ what }) => what.kind === 'file');

/** Memory of the store: what it stands for is in the watched ranges, anonymous memory is not. */
function* discard(
  perform: Performer,
  space: Space,
  area: MapsLine,
  start: number,
  end: number,
  advice: number,
): Steps<number> {
  const files = filesIn(space, start, end);
  if (advice === MADV.WIPEONFORK || advice === MADV.KEEPONFORK) {
    // Only for what is private and anonymous; of the store, the fork that we make wipes it.
    if (files.length > 0) return advice === MADV.WIPEONFORK ? -EINVAL : 0;
    if (advice === MADV.WIPEONFORK && forbidden(space, area, start, end)) return -EPERM;
    space.watched.remove(start, end);
    if (advice === MADV.WIPEONFORK) space.watched.add(start, end, { kind: 'wiped' });
    return 0;
  }
  if (files.length === 0 && forbidden(space, area, start, end)) return -EPERM;
  if (advice === MADV.REMOVE) {
    // Locked memory is refused first; then what has no file; then what is not shared.
    const locked = yield* perform.home(SYS.madvise, start, end - start, MADV.DONTNEED);
    return isError(locked) || files[0] === undefined || files[0].start > start ? -EINVAL : -EACCES;
  }
  let at = start;
  for (const file of files) {
    if (file.start > at) {
      const result = yield* discardAnonymous(perform, space, area, at, file.start, advice);
      if (isError(result)) return result;
    }
    const [from, to] = [Math.max(at, file.start), Math.min(end, file.end)];
    if (advice === MADV.FREE || file.what.kind !== 'file' || !file.what.file) return -EINVAL;
    const agreed = yield* perform.home(SYS.madvise, from, to - from, advice);
    if (isError(agreed)) return agreed;
    fillFromFile(space.store, from, to, file.what.file, file.what.offset + from - file.start);
    at = to;
  }
  return at < end ? yield* discardAnonymous(perform, space, area, at, end, advice) : 0;
}

/** Shared memory keeps its data whatever is advised: the kernel is asked, and then the pages are punched. */
function* discardAnonymous(
  perform: Performer,
  space: Space,
  area: MapsLine,
  start: number,
  end: number,
  advice: number,
): Steps<number> {
  const question = advice === MADV.DONTNEED_LOCKED ? advice : MADV.DONTNEED;
  const agreed = yield* perform.home(SYS.madvise, start, end - start, question);
  if (isError(agreed)) return agreed;
  if (forbidden(space, area, start, end)) return -EPERM;
  space.store.punch(start, end - start);
  return 0;
}

/** Anonymous memory that is sealed and cannot be written cannot be discarded either (mseal(2)). */
function forbidden(space: Space, area: MapsLine, start: number, end: number): boolean {
  if (area.permissions[1] === 'w') return false;
  return space.sealed.some((range) => range.start < end && range.end > start);
}

function* adviseForeign(
  perform: Performer,
  space: Space,
  area: MapsLine,
  start: number,
  end: number,
  advice: number,
): Steps<number> {
  // Text comes back from its file as it was, but for what is ours in it.
  const isText = space.watched.overlapping(start, end).some(({ what }) => what.kind === 'text');
  if (isText && area.permissions[1] !== 'w' && advice !== MADV.REMOVE && advice !== MADV.FREE) return 0;
  const once = advice !== MADV.DONTNEED && advice !== MADV.DONTNEED_LOCKED;
  if (once) return yield* perform.home(SYS.madvise, start, end - start, advice);
  return yield* perform.everywhere(SYS.madvise, start, end - start, advice);
}
