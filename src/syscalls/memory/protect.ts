/** mprotect and pkey_mprotect. */
import { EACCES, ENOMEM, isError } from '../../linux/errno.js';
import { type MapsLine, readVmFlags } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { pageUp } from '../../memory/store.js';
import { MappedFile } from '../../process/mapped-file.js';
import {
  isStoreArea,
  MAP_FIXED,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_WRITE,
  protectionBits,
} from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { LARGE } from '../../x64/gate.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import { afford, overlapping, rangeOf, storeAt } from './ranges.js';

export function* mprotect(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const nr = regs.signed('orig_rax');
  const key = regs.word('r10');
  const range = rangeOf(regs);
  if (!range.isRange) return yield* perform.own();
  let { start, length } = range;
  let protection = regs.int('rdx');
  if (protection & PROT_GROWSDOWN && !(protection & PROT_GROWSUP)) {
    const bottom = bottomOfStack(space, start);
    if (bottom === undefined) return yield* perform.own();
    length += start - bottom;
    start = bottom;
    protection &= ~PROT_GROWSDOWN;
  }
  let end = start + length;
  let refusal = 0;
  if (protection & PROT_EXEC) {
    const forbidden = space.watched
      .overlapping(start, end)
      .find(({ what }) => what.kind === 'file' && what.noExec);
    if (forbidden) [end, refusal] = [Math.max(start, forbidden.start), -EACCES];
  }
  if (protection & PROT_WRITE && end - start >= LARGE) {
    const unaffordable = yield* firstUnaffordable(perform, space, start, end);
    if (unaffordable !== undefined) [end, refusal] = [unaffordable, -ENOMEM];
  }
  if (space.plural && protection & PROT_WRITE) {
    for (const area of overlapping(space, start, end - start)) {
      if (area.permissions[3] === 'p' && area.name !== '[stack]') yield* moveIntoStore(perform, space, area);
    }
  }
  // Areas before the one that is refused are changed all the same (mprotect(2), ERRORS).
  if (end === start) return refusal;
  const result = yield* perform.everywhere(
    nr,
    start,
    refusal === 0 && start === regs.get('rdi') ? regs.word('rsi') : end - start,
    refusal === 0 && protection === regs.int('rdx') ? regs.word('rdx') : protection,
    key,
  );
  return isError(result) ? result : refusal;
}

/**
 * The stack is the store's, and shared memory cannot be marked as growing down: for the program's initial
 * stack we say where its area begins, as the kernel would (mm/mprotect.c).
 */
function bottomOfStack(space: Space, start: number): number | undefined {
  if (start < space.stack.start || start >= space.stack.end) return undefined;
  return overlapping(space, start, 1)[0]?.start;
}

/**
 * Private memory that becomes writable is accounted, area by area, unless it was mapped with MAP_NORESERVE
 * (mm/mprotect.c, mprotect_fixup).
 * @returns where the first area begins that the kernel would refuse
 */
function* firstUnaffordable(
  perform: Performer,
  space: Space,
  start: number,
  end: number,
): Steps<number | undefined> {
  for (const area of overlapping(space, start, end - start)) {
    const from = Math.max(area.start, start);
    const length = Math.min(area.end, end) - from;
    if (!isStoreArea(area) || area.permissions[1] === 'w' || length < LARGE) continue;
    if (readVmFlags(space.hostPid, area.start).includes('nr')) continue;
    if (isError(yield* afford(perform, length))) return from;
  }
  return undefined;
}

/** A private file mapping that becomes writable while there are several generations. */
function* moveIntoStore(perform: Performer, space: Space, area: MapsLine): Steps<void> {
  const bytes = new Uint8Array(area.end - area.start);
  using memory = perform.openBase();
  // It ends where the file does: the pages behind fault, and stay as they are.
  const length = pageUp(memory.readInto(area.start, bytes));
  if (length === 0) return;
  const { start } = area;
  const call = storeAt(perform.kernel.storeFd, start, length, protectionBits(area.permissions), MAP_FIXED);
  // Asked while the kernel still knows the file: it may lie on a `noexec` mount, or have no name any more.
  const file = area.inode === 0 ? undefined : fileOf(perform, area);
  const executable = yield* perform.home(SYS.mprotect, start, length, PROT_READ | PROT_EXEC);
  space.store.write(start, bytes.subarray(0, length));
  const mapped = yield* perform.home(...call);
  if (isError(mapped)) return;
  yield* perform.elsewhere([call]);
  space.watched.remove(start, start + length);
  if (area.inode === 0) return;
  space.watched.add(start, start + length, {
    kind: 'file',
    file,
    offset: area.offset,
    noExec: executable === -EACCES,
  });
}

/** By its mapping, which needs a privilege (proc(5), map_files), or else by its name. */
function fileOf(
  { thread: { tid } }: Performer,
  { start, end, name, inode }: MapsLine,
): MappedFile | undefined {
  const range = `${start.toString(16)}-${end.toString(16)}`;
  return (
    MappedFile.of(`/proc/${tid}/map_files/${range}`, inode) ??
    MappedFile.of(`/proc/${tid}/root${name}`, inode)
  );
}
