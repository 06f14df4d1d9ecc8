/**
 * mremap. Left to the kernel it would keep the store's old offset. Growing in place keeps offset = address;
 * a move is a new mapping, a copy of the data, and the end of the old one.
 */
import { EEXIST, EFAULT, EINVAL, ENOMEM, EPERM, isError } from '../../linux/errno.js';
import { type MapsLine, readVmFlags } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { PAGE, pageUp } from '../../memory/store.js';
import { markForeign } from '../../process/foreign.js';
import { fillFromFile } from '../../process/mapped-file.js';
import {
  isStoreArea,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  protectionBits,
} from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { shifted } from '../../process/watched.js';
import { LARGE } from '../../x64/gate.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import {
  afford,
  alsoElsewhere,
  forget,
  isUserRange,
  overlapping,
  placeholderAt,
  storeAt,
  TASK_SIZE,
  unmap,
} from './ranges.js';

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;
const MREMAP_ALL = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

interface Request {
  old: number;
  oldLength: number;
  newLength: number;
  flags: number;
  target: number;
  fixed: boolean;
  /** MREMAP_DONTUNMAP: the old range stays mapped, and empty. */
  keep: boolean;
}

export function* mremap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const flags = regs.int('r10');
  const request: Request = {
    old: regs.get('rdi'),
    oldLength: pageUp(regs.get('rsi')),
    newLength: pageUp(regs.get('rdx')),
    flags,
    target: regs.get('r8'),
    fixed: (flags & MREMAP_FIXED) !== 0,
    keep: (flags & MREMAP_DONTUNMAP) !== 0,
  };
  const { old, oldLength, newLength, fixed, keep, target } = request;
  const kept = Math.min(oldLength, newLength);
  const areas = isUserRange(old, Math.max(kept, PAGE)) ? overlapping(space, old, Math.max(kept, 1)) : [];
  if (!areas.some(isStoreArea)) return yield* mremapForeign(perform, space, regs, request);
  if (regs.word('r10') !== flags || flags & ~MREMAP_ALL) return -EINVAL;
  if (newLength === 0 || oldLength === 0) return -EINVAL;
  // No kernel has room for it; which error that is depends on the kernel.
  if (newLength > TASK_SIZE) return yield* perform.own();
  if ((fixed || keep) && !(flags & MREMAP_MAYMOVE)) return -EINVAL;
  if (keep && oldLength !== newLength) return -EINVAL;
  if (fixed && (!isUserRange(target, newLength) || (target < old + oldLength && old < target + newLength)))
    return -EINVAL;
  // A seal refuses to move, to shrink and to grow (mseal(2)), whatever else is wrong with the areas behind it.
  if (space.sealed.some((range) => range.start <= old && old < range.end)) return -EPERM;
  if (areas[0]!.start > old) return -EFAULT;
  if (!fixed && !keep && newLength <= oldLength) {
    if (newLength === oldLength) return old;
    const result = yield* unmap(perform, space, old + newLength, oldLength - newLength);
    return isError(result) ? result : old;
  }
  const covered = areas.reduce(
    (sum, area) => sum + Math.min(area.end, old + kept) - Math.max(area.start, old),
    0,
  );
  // The kernel moves several areas at once in some cases; we refuse, as it does in the others.
  const protections = new Set(areas.map((area) => area.permissions));
  if (space.sealed.some((range) => range.start < old + kept && range.end > old)) return -EFAULT;
  if (covered !== kept || protections.size > 1 || !areas.every(isStoreArea)) return -EFAULT;
  const protection = protectionBits(areas[0]!.permissions);
  const growth = newLength - oldLength;
  if (growth >= LARGE && !readVmFlags(space.hostPid, areas[0]!.start).includes('nr')) {
    const refused = yield* afford(perform, growth);
    if (isError(refused)) return refused;
  }
  if (!fixed && !keep) {
    const grown = yield* growInPlace(perform, space, request, protection);
    if (grown !== -EEXIST) return grown;
    if (!(flags & MREMAP_MAYMOVE)) return -ENOMEM;
  }
  return yield* move(perform, space, request, areas[0]!, protection);
}

/** @returns -EEXIST when something is in the way */
function* growInPlace(
  perform: Performer,
  space: Space,
  { old, oldLength, newLength }: Request,
  protection: number,
): Steps<number> {
  const end = old + oldLength;
  const growth = newLength - oldLength;
  if (!isUserRange(end, growth)) return -EEXIST;
  const call = storeAt(perform.kernel.storeFd, end, growth, protection, MAP_FIXED_NOREPLACE);
  const grown = yield* perform.home(...call);
  if (isError(grown)) return grown;
  const error = yield* alsoElsewhere(perform, space, end, growth, [call]);
  if (isError(error)) return error;
  extendFile(space, old, oldLength, old, newLength);
  return old;
}

/** A private mapping of a file that grows maps more of the file. */
function extendFile(space: Space, old: number, oldLength: number, start: number, newLength: number): void {
  const last = space.watched.overlapping(old, old + oldLength).at(-1);
  if (!last || last.what.kind === 'text' || last.end < old + oldLength) return;
  const what = shifted(last.what, old + oldLength - last.start);
  const [from, to] = [start + oldLength, start + newLength];
  if (what.kind === 'file' && what.file) fillFromFile(space.store, from, to, what.file, what.offset);
  space.watched.add(from, to, what);
}

function* move(
  perform: Performer,
  space: Space,
  request: Request,
  area: MapsLine,
  protection: number,
): Steps<number> {
  const { old, oldLength, newLength, target, fixed, keep } = request;
  const { storeFd } = perform.kernel;
  // The kernel gives the place, and takes what is there: nothing is freed before.
  const [nr, , length, , flags, ...rest] = placeholderAt(target, newLength);
  const start = fixed
    ? yield* perform.home(...placeholderAt(target, newLength))
    : yield* perform.home(nr, 0, length!, 0, Number(flags) & ~MAP_FIXED, ...rest);
  if (isError(start)) return start;
  const isFile = space.watched.overlapping(old, old + oldLength).length > 0;
  if (isFile) markForeign(space, start, newLength);
  if (fixed) {
    yield* perform.elsewhere([placeholderAt(start, newLength)]);
    forget(space, start, newLength);
  }
  // Copied before the program can see the new mapping; nobody else may write the old one during mremap.
  const shared = Math.min(oldLength, newLength);
  for (const _ of space.store.copyTo(space.store, old, old + shared, start - old)) continue;
  const noReserve = readVmFlags(space.hostPid, area.start).includes('nr') ? MAP_NORESERVE : 0;
  const mapping = storeAt(storeFd, start, newLength, protection, MAP_FIXED | noReserve);
  const mapped = yield* perform.home(...mapping);
  const elsewhere = isError(mapped)
    ? mapped
    : yield* alsoElsewhere(perform, space, start, newLength, [mapping]);
  if (isError(elsewhere)) {
    if (elsewhere === mapped) yield* unmap(perform, space, start, newLength);
    return elsewhere;
  }
  if (isFile) moveFiles(space, old, start, shared, newLength);
  if (keep) space.store.punch(old, oldLength);
  else {
    const ended = yield* unmap(perform, space, old, oldLength);
    if (isError(ended)) {
      yield* unmap(perform, space, start, newLength);
      return ended;
    }
  }
  return start;
}

function moveFiles(space: Space, old: number, start: number, length: number, newLength: number): void {
  for (const range of space.watched.overlapping(old, old + length)) {
    const [from, to] = [Math.max(old, range.start), Math.min(old + length, range.end)];
    space.watched.add(start + from - old, start + to - old, shifted(range.what, from - range.start));
  }
  if (newLength > length) extendFile(space, old, length, start, newLength);
}

/** A mapping that is not the store's moves as the kernel moves it, to the same place everywhere. */
function* mremapForeign(
  perform: Performer,
  space: Space,
  regs: Registers,
  { old, oldLength, newLength, flags, fixed, target }: Request,
): Steps<number> {
  if (fixed && isUserRange(target, newLength)) markForeign(space, target, newLength);
  const result = yield* perform.own();
  if (isError(result)) return result;
  markForeign(space, result, newLength);
  const again = result === old ? flags : flags | MREMAP_MAYMOVE | MREMAP_FIXED;
  yield* perform.elsewhere([[SYS.mremap, old, regs.word('rsi'), regs.word('rdx'), again, result]]);
  if (fixed) forget(space, result, newLength);
  const moved = space.watched.overlapping(old, old + Math.max(oldLength, PAGE));
  if (result !== old && moved.length > 0) {
    space.watched.remove(old, old + oldLength);
    space.watched.add(result, result + newLength, { kind: 'text' });
  } else if (newLength < oldLength) space.watched.remove(old + newLength, old + oldLength);
  return result;
}
