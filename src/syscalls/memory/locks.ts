/** Locking pages and sealing areas. The gate is told: it must not clear what is locked or sealed. */
import { isError } from '../../linux/errno.js';
import { readMaps } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import type { BatchEntry } from '../../process/inject.js';
import { isStoreArea } from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { GATE_END, GATE_START } from '../../x64/gate.js';
import type { Registers } from '../../x64/registers.js';
import { MADV } from '../advice.js';
import type { Performer } from '../performer.js';
import { notePinned, overlapping, rangeOf } from './ranges.js';

const MLOCK_ONFAULT = 1;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;

/** mlock, mlock2. Where a generation cannot follow, nothing stays locked. */
export function* memoryLock(perform: Performer, space: Space, regs: Registers): Steps<number> {
  notePinned(space);
  const result = yield* perform.own();
  if (isError(result)) return result;
  const range = [regs.word('rdi'), regs.word('rsi')] as const;
  const answers = yield* perform.tryElsewhere([[regs.signed('orig_rax'), ...range, regs.word('rdx')]]);
  const failed = answers.flatMap(({ results }) => results.filter(isError));
  if (failed.length === 0) return result;
  yield* perform.everywhere(SYS.munlock, ...range);
  return failed[0]!;
}

export function* seal(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const { start, length, isRange } = rangeOf(regs);
  notePinned(space);
  const args = [regs.word('rdi'), regs.word('rsi'), regs.word('rdx')];
  const result = yield* perform.everywhere(SYS.mseal, ...args);
  if (isError(result) || !isRange) return result;
  for (const area of overlapping(space, start, length).filter(isStoreArea)) {
    const [from, to] = [Math.max(area.start, start), Math.min(area.end, start + length)];
    yield* perform.home(SYS.madvise, from, to - from, MADV.DONTFORK);
    space.sealed.push({ start: from, end: to });
    space.usesDontFork = true;
  }
  return result;
}

/**
 * mlockall. MCL_CURRENT is done area by area: the kernel would count the gate, and the whole of the
 * stack, against RLIMIT_MEMLOCK, which natively is mapped as far as it was used.
 */
export function* lockAll(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const flags = regs.int('rdi');
  const known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  notePinned(space);
  if (!(flags & MCL_CURRENT) || flags & ~known) return yield* perform.everywhere(SYS.mlockall, flags);
  const ranges = lockable(space);
  // First without filling them: that fails only where the limit or a right is missing.
  const marks = ranges.map(({ start, end }): BatchEntry => [SYS.mlock2, start, end - start, MLOCK_ONFAULT]);
  for (const [index, mark] of marks.entries()) {
    const result = yield* perform.home(...mark);
    if (!isError(result)) continue;
    for (const { start, end } of ranges.slice(0, index)) yield* perform.home(SYS.munlock, start, end - start);
    return result;
  }
  const all: BatchEntry[] = [...marks];
  // Whether the pages could be had is not told (mm/mlock.c, mlockall): areas without access have none.
  if (!(flags & MCL_ONFAULT)) {
    const fills = ranges.map(({ start, end }): BatchEntry => [SYS.mlock, start, end - start]);
    for (const fill of fills) yield* perform.home(...fill);
    all.push(...fills);
  }
  yield* perform.tryElsewhere(all);
  if (!(flags & MCL_FUTURE)) return 0;
  return yield* perform.everywhere(SYS.mlockall, flags & ~MCL_CURRENT);
}

function lockable(space: Space): { start: number; end: number }[] {
  const { stack, store, hostPid } = space;
  const used = store.nextExtent(stack.start, stack.end)?.start ?? stack.end;
  return readMaps(hostPid).flatMap(({ start, end, name }) => {
    if (name.startsWith('[v') || (start >= GATE_START && start < GATE_END)) return [];
    const from = start >= stack.start && start < stack.end ? Math.max(start, used) : start;
    return from < end ? [{ start: from, end }] : [];
  });
}
