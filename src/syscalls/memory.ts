/**
 * The memory calls: what a program says about private memory, done to the store. Each handler runs with the
 * space's lock held and answers the program's result.
 */
import { statSync } from 'node:fs';
import { EEXIST, EFAULT, EINVAL, ENOMEM, isError } from '../linux/errno.js';
import { type MapsLine, readMaps } from '../linux/proc.js';
import { SYS } from '../linux/syscall-numbers.js';
import { PAGE, pageDown, pageUp, Store } from '../memory/store.js';
import {
  isStoreArea,
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_TYPE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  protectionBits,
} from '../process/mapping.js';
import { markForeign } from '../process/foreign.js';
import { closeGate, openGate, untilGateIsEmpty } from '../process/gate-mode.js';
import { sweepKeptPages, wantsSweep } from '../process/kept-pages.js';
import type { Space } from '../process/model.js';
import { rewriteCallSites } from '../process/rewrite.js';
import type { Steps } from '../process/steps.js';
import { GATE_LOCKS_MEMORY } from '../x64/gate.js';
import { type Registers } from '../x64/registers.js';
import type { Performer } from './performer.js';

export type MemoryHandler = (perform: Performer, space: Space, regs: Registers) => Steps<number>;

const TASK_SIZE = 2 ** 47;
const isUserRange = (start: number, length: number): boolean =>
  start % PAGE === 0 && length > 0 && start + length <= TASK_SIZE;

/** Picks the kernel's choice of an address, and keeps it. */
function* reserve(perform: Performer, hint: number, length: number, flags: number): Steps<number> {
  const kept = flags & (MAP_32BIT | MAP_FIXED_NOREPLACE);
  return yield* perform.home(
    SYS.mmap,
    hint,
    length,
    PROT_NONE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | kept,
    -1,
    0,
  );
}

function* mapStore(
  perform: Performer,
  start: number,
  length: number,
  protection: number,
  flags: number,
): Steps<number> {
  const { storeFd } = perform.kernel;
  return yield* perform.everywhere(
    SYS.mmap,
    start,
    length,
    protection,
    MAP_SHARED | MAP_FIXED | flags,
    storeFd,
    start,
  );
}

/** Takes the content of [start, start + length) away, wherever it is backed by the store. */
const forget = (space: Space, start: number, length: number): void => {
  if (isUserRange(start, length)) space.store.punch(start, pageUp(length));
};

function* mmap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const hint = regs.get('rdi');
  const length = pageUp(regs.get('rsi'));
  const protection = regs.int('rdx');
  const flags = regs.int('r10');
  const fd = regs.int('r8');
  const offset = regs.get('r9');
  const fixed = (flags & MAP_FIXED) !== 0 && (flags & MAP_FIXED_NOREPLACE) === 0;
  const isPrivate = (flags & MAP_TYPE) === MAP_PRIVATE;
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  if (isPrivate && flags & MAP_HUGETLB) {
    // Huge pages would need a store of their own; programs fall back as they do where none are configured.
    perform.kernel.emit('huge-pages-refused', { length });
    return -ENOMEM;
  }
  if (length === 0) return -EINVAL;
  if (length > TASK_SIZE) return -ENOMEM;
  if ((flags & MAP_LOCKED) !== 0) noteLocked(space);
  const belongsInStore = isPrivate && (anonymous || (protection & PROT_WRITE) !== 0);
  if (!belongsInStore && anonymous && space.plural) return yield* mmapSharedAnonymous(perform, space, regs);
  if (!belongsInStore) {
    if (fixed && isUserRange(hint, length)) {
      forget(space, hint, length);
      // Before the mapping is there: the gate must not take it for the store's for a moment.
      markForeign(space, hint, length);
    }
    const result = yield* perform.home(SYS.mmap, hint, regs.get('rsi'), protection, flags, fd, offset);
    if (!isError(result)) {
      markForeign(space, result, length);
      yield* perform.mapElsewhere(result, regs.get('rsi'), protection, flags, fd, offset);
      if (isPrivate && (protection & PROT_EXEC) !== 0) {
        const text = { start: result, length, offset, file: `/proc/${perform.thread.tid}/fd/${fd}` };
        const hosts = [...space.generations.values()]
          .filter(({ agent }) => agent)
          .map(({ hostPid }) => hostPid);
        const tasks = [perform.thread.tid, ...hosts];
        yield* rewriteCallSites(perform.kernel, space, text, {
          tasks,
          call: (...entry) => perform.everywhere(...entry),
        });
      }
    }
    return result;
  }
  if (anonymous) return yield* mapPrivate(perform, space, regs);
  // The kernel's own checks of descriptor, offset and permissions, before anything is replaced.
  const readable = protection | PROT_READ;
  const probe = yield* perform.home(SYS.mmap, 0, regs.get('rsi'), readable, MAP_PRIVATE, fd, offset);
  if (isError(probe)) return probe;
  const lastPage = lastPageOf(perform, { start: probe, length, fd, offset });
  // At once: it may be in the very place where the program wants its mapping.
  yield* perform.home(SYS.munmap, probe, length);
  return yield* mapPrivate(perform, space, regs, lastPage);
}

/**
 * Private memory that is writable, or has no file: it goes into the store.
 * @param lastPage of the file, if there is one and its end is in the range
 */
function* mapPrivate(
  perform: Performer,
  space: Space,
  regs: Registers,
  lastPage?: Uint8Array,
): Steps<number> {
  const hint = regs.get('rdi');
  const length = pageUp(regs.get('rsi'));
  const protection = regs.int('rdx');
  const flags = regs.int('r10');
  const fd = regs.int('r8');
  const offset = regs.get('r9');
  const fixed = (flags & MAP_FIXED) !== 0 && (flags & MAP_FIXED_NOREPLACE) === 0;
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  let start = hint;
  if (fixed) {
    if (!isUserRange(hint, length)) return hint % PAGE === 0 ? -ENOMEM : -EINVAL;
    forget(space, hint, length);
  } else {
    start = yield* reserve(perform, hint, length, flags);
    if (isError(start)) return start;
  }
  const kept =
    flags & ~(MAP_TYPE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_GROWSDOWN);
  const mapped = yield* mapStore(
    perform,
    start,
    length,
    anonymous ? protection : PROT_READ | PROT_WRITE,
    kept,
  );
  if (isError(mapped)) {
    if (!fixed) yield* perform.home(SYS.munmap, start, length);
    return mapped;
  }
  if (!anonymous) {
    const filled = yield* fill(perform, start, regs.get('rsi'), fd, offset);
    if (isError(filled)) return filled;
    const tail = pageUp(filled);
    if (filled < tail && lastPage) space.store.write(start + tail - PAGE, lastPage);
    // Pages wholly behind the file's end fault with SIGBUS; they hold nothing, so they need not be shared.
    if (tail < length) {
      markForeign(space, start + tail, length - tail);
      yield* perform.everywhere(
        SYS.mmap,
        start + tail,
        length - tail,
        protection,
        MAP_PRIVATE | MAP_FIXED,
        fd,
        offset + tail,
      );
    }
    if (protection !== (PROT_READ | PROT_WRITE))
      yield* perform.everywhere(SYS.mprotect, start, length, protection);
  }
  return start;
}

/** Two mappings of MAP_SHARED|MAP_ANONYMOUS are two objects: with several generations it needs a file. */
function* mmapSharedAnonymous(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const [hint, length, protection, flags] = [
    regs.get('rdi'),
    regs.get('rsi'),
    regs.int('rdx'),
    regs.int('r10'),
  ];
  const { gate, memfdFlags } = perform.kernel;
  const fd = yield* perform.home(SYS.memfd_create, gate.sharedName, memfdFlags);
  if (isError(fd)) return -ENOMEM;
  using _file = new Store(perform.thread.home.tid, fd, pageUp(length));
  if ((flags & MAP_FIXED) !== 0 && (flags & MAP_FIXED_NOREPLACE) === 0) forget(space, hint, pageUp(length));
  const result = yield* perform.home(SYS.mmap, hint, length, protection, flags & ~MAP_ANONYMOUS, fd, 0);
  if (!isError(result)) {
    markForeign(space, result, length);
    const again = (flags & ~(MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)) | MAP_FIXED;
    yield* perform.elsewhere(SYS.mmap, result, length, protection, again, fd, 0);
  }
  yield* perform.home(SYS.close, fd);
  return result;
}

/** Reads the file's bytes into the fresh mapping. @returns how many there were, or the error */
function* fill(perform: Performer, start: number, length: number, fd: number, offset: number): Steps<number> {
  let done = 0;
  while (done < length) {
    const got = yield* perform.home(SYS.pread64, fd, start + done, length - done, offset + done);
    if (got === 0) break;
    if (isError(got)) return got;
    done += got;
  }
  return done;
}

/**
 * The page with the file's end, if it is in the mapping. Behind its end a file's last page holds what was
 * written there through a shared mapping (mmap(2), NOTES), which no read gives.
 */
function lastPageOf(
  perform: Performer,
  { start, length, fd, offset }: { start: number; length: number; fd: number; offset: number },
): Uint8Array | undefined {
  const { size } = statSync(`/proc/${perform.thread.tid}/fd/${fd}`);
  if (size % PAGE === 0 || size <= offset || size > offset + length) return undefined;
  using memory = perform.openBase();
  const page = memory.read(start + pageDown(size - offset), PAGE);
  return page.length === PAGE ? page : undefined;
}

function* munmap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const start = regs.get('rdi');
  const length = regs.get('rsi');
  forget(space, start, length);
  return yield* perform.everywhere(SYS.munmap, start, length);
}

function* mprotect(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const start = regs.get('rdi');
  const length = pageUp(regs.get('rsi'));
  const protection = regs.int('rdx');
  const nr = regs.signed('orig_rax');
  if (space.plural && (protection & PROT_WRITE) !== 0 && isUserRange(start, length)) {
    for (const area of overlapping(space, start, length)) {
      if (area.permissions[3] === 'p' && area.name !== '[stack]') yield* moveIntoStore(perform, space, area);
    }
  }
  return yield* perform.everywhere(nr, start, length, protection, regs.int('r10'));
}

/** The process has locked memory: what an advice frees may be part of it. */
export function noteLocked(space: Space): void {
  space.store.write(GATE_LOCKS_MEMORY, Uint8Array.of(1));
}

function locksMemory(space: Space): boolean {
  const word = new Uint8Array(1);
  space.store.read(GATE_LOCKS_MEMORY, word);
  return word[0] !== 0;
}

const overlapping = (space: Space, start: number, length: number): MapsLine[] =>
  readMaps(space.hostPid).filter((area) => area.start < start + length && area.end > start);

/** A private file mapping that becomes writable while there are several generations. */
function* moveIntoStore(perform: Performer, space: Space, area: MapsLine): Steps<void> {
  const bytes = new Uint8Array(area.end - area.start);
  using memory = perform.openBase();
  // It ends where the file does: the pages behind fault, and stay as they are.
  const length = pageUp(memory.readInto(area.start, bytes));
  if (length === 0) return;
  space.store.write(area.start, bytes.subarray(0, length));
  yield* mapStore(perform, area.start, length, protectionBits(area.permissions), 0);
}

const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const MADV_REMOVE = 9;
const MADV_DONTFORK = 10;
const MADV_DOFORK = 11;
const MADV_WIPEONFORK = 18;
const MADV_KEEPONFORK = 19;
const MADV_DONTNEED_LOCKED = 24;

/** The gate's table of kept pages is in order again before long; the caller does not wait for that. */
function sweepIfWanted({ kernel }: Performer, space: Space): void {
  if (wantsSweep(space)) kernel.scheduler.start(`sweep of ${space.hostPid}`, sweepKeptPages(kernel, space));
}

function* madvise(perform: Performer, space: Space, regs: Registers): Steps<number> {
  sweepIfWanted(perform, space);
  const start = regs.get('rdi');
  const length = pageUp(regs.get('rsi'));
  const advice = regs.int('rdx');
  if (start % PAGE !== 0) return -EINVAL;
  if (length === 0) return 0;
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED: {
      // Refused for locked memory, whose data must stay; over a hole the rest is dropped.
      const result = yield* perform.everywhere(SYS.madvise, start, length, advice);
      if (result === 0 || result === -ENOMEM) forget(space, start, length);
      return result;
    }
    case MADV_FREE:
      if (!locksMemory(space)) forget(space, start, length);
      return 0;
    case MADV_REMOVE: {
      // Natively an error on private memory, which the store's mappings stand for.
      const shared = overlapping(space, start, length).every(
        (area) => area.permissions[3] === 's' && !isStoreArea(area),
      );
      return shared ? yield* perform.home(SYS.madvise, start, length, advice) : -EINVAL;
    }
    case MADV_DONTFORK:
    case MADV_DOFORK:
      // In the base only: the marks matter to the program's own forks, which the base makes.
      space.usesDontFork = true;
      return yield* perform.home(SYS.madvise, start, length, advice);
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
      // Not for shared memory (mm/madvise.c), so not for the store; programs fall back to pthread_atfork.
      return -EINVAL;
    default:
      return yield* perform.everywhere(SYS.madvise, start, length, advice);
  }
}

/** How much more than asked for is mapped when the heap grows: the gate's brk can grow that far by itself. */
const HEAP_SLACK = 1 << 20;

function* brk(perform: Performer, space: Space, regs: Registers): Steps<number> {
  sweepIfWanted(perform, space);
  if (space.plural) return yield* moveBreak(perform, space, regs.get('rdi'));
  closeGate(space, 'heapGrows');
  try {
    yield* untilGateIsEmpty(perform.kernel, space, Number.POSITIVE_INFINITY);
    return yield* moveBreak(perform, space, regs.get('rdi'));
  } finally {
    openGate(space, 'heapGrows');
  }
}

/** What the gate does (x64/gate-break.ts), everywhere, and growing beyond what is mapped. */
function* moveBreak(perform: Performer, { heap, store }: Space, wanted: number): Steps<number> {
  const { end, top } = heap;
  if (wanted < heap.start || wanted >= TASK_SIZE) return end;
  const mapped = pageUp(end);
  const needed = pageUp(wanted);
  if (needed > top) {
    heap.top = needed + HEAP_SLACK;
    if (isError(yield* mapHeap(perform, top, heap.top - top))) {
      heap.top = top;
      if (isError(yield* mapHeap(perform, top, needed - top))) return end;
      heap.top = needed;
    }
  }
  if (needed > mapped) {
    const result = yield* perform.everywhere(SYS.mprotect, mapped, needed - mapped, PROT_READ | PROT_WRITE);
    if (isError(result)) return end;
  } else if (needed < mapped) {
    store.punch(needed, mapped - needed);
    yield* perform.everywhere(SYS.mprotect, needed, mapped - needed, PROT_NONE);
  }
  heap.end = wanted;
  return wanted;
}

function* mapHeap(perform: Performer, start: number, length: number): Steps<number> {
  const { storeFd } = perform.kernel;
  const fresh = MAP_SHARED | MAP_FIXED_NOREPLACE;
  const result = yield* perform.home(SYS.mmap, start, length, PROT_NONE, fresh, storeFd, start);
  if (isError(result)) return result;
  yield* perform.elsewhere(SYS.mmap, start, length, PROT_NONE, MAP_SHARED | MAP_FIXED, storeFd, start);
  return result;
}

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;

/**
 * mremap would keep the store's old offset. Growing in place keeps offset = address; a move is a new
 * mapping, a copy of the data, and the end of the old one.
 */
function* mremap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const old = regs.get('rdi');
  const oldLength = pageUp(regs.get('rsi'));
  const newLength = pageUp(regs.get('rdx'));
  const flags = regs.int('r10');
  const target = regs.get('r8');
  const kept = Math.min(oldLength, newLength);
  const areas = overlapping(space, old, Math.max(kept, 1));
  if (!areas.some(isStoreArea)) return yield* mremapForeign(perform, regs, old);
  const fixed = (flags & MREMAP_FIXED) !== 0;
  const keep = (flags & MREMAP_DONTUNMAP) !== 0;
  if (old % PAGE !== 0 || newLength === 0 || oldLength === 0) return -EINVAL;
  if ((fixed || keep) && !(flags & MREMAP_MAYMOVE)) return -EINVAL;
  if (keep && oldLength !== newLength) return -EINVAL;
  if (fixed && (!isUserRange(target, newLength) || (target < old + oldLength && old < target + newLength)))
    return -EINVAL;
  if (areas[0]!.start > old) return -EFAULT;
  if (!fixed && !keep && newLength <= oldLength) {
    if (newLength < oldLength) {
      forget(space, old + newLength, oldLength - newLength);
      yield* perform.everywhere(SYS.munmap, old + newLength, oldLength - newLength);
    }
    return old;
  }
  const covered = areas.reduce(
    (sum, area) => sum + Math.min(area.end, old + kept) - Math.max(area.start, old),
    0,
  );
  // The kernel moves several areas at once in some cases; we refuse, as it does in the others.
  const protections = new Set(areas.map((area) => area.permissions));
  if (covered !== kept || protections.size > 1 || !areas.every(isStoreArea)) return -EFAULT;
  const protection = protectionBits(areas[0]!.permissions);
  const { storeFd } = perform.kernel;
  if (!fixed && !keep) {
    const end = old + oldLength;
    const grown = yield* perform.home(
      SYS.mmap, end, newLength - oldLength, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, storeFd, end,
    ); // biome-ignore format: one call
    if (!isError(grown)) {
      yield* perform.elsewhere(
        SYS.mmap,
        end,
        newLength - oldLength,
        protection,
        MAP_SHARED | MAP_FIXED,
        storeFd,
        end,
      );
      return old;
    }
    if (grown !== -EEXIST) return grown;
    if (!(flags & MREMAP_MAYMOVE)) return -ENOMEM;
  }
  let start = target;
  if (fixed) forget(space, target, newLength);
  else {
    start = yield* reserve(perform, 0, newLength, 0);
    if (isError(start)) return start;
  }
  // Copied before the program can see the new mapping; nobody else may write the old one during mremap.
  const shared = Math.min(oldLength, newLength);
  for (const _ of space.store.copyTo(space.store, old, old + shared, start - old)) continue;
  const mapped = yield* mapStore(perform, start, newLength, protection, 0);
  if (isError(mapped)) return mapped;
  forget(space, old, oldLength);
  if (!keep) yield* perform.everywhere(SYS.munmap, old, oldLength);
  return start;
}

/** A mapping that is not the store's moves as the kernel moves it, to the same place everywhere. */
function* mremapForeign(perform: Performer, regs: Registers, old: number): Steps<number> {
  const [oldLength, newLength, flags] = [regs.get('rsi'), regs.get('rdx'), regs.int('r10')];
  const result = yield* perform.home(SYS.mremap, old, oldLength, newLength, flags, regs.get('r8'));
  if (isError(result)) return result;
  markForeign(perform.thread.process.space, result, newLength);
  const again = result === old ? flags : flags | MREMAP_MAYMOVE | MREMAP_FIXED;
  yield* perform.elsewhere(SYS.mremap, old, oldLength, newLength, again, result);
  return result;
}

function* shmat(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const SHM_REMAP = 0o40000;
  const flags = regs.int('rdx');
  if (flags & SHM_REMAP) {
    const segment = overlapping(space, regs.get('rsi'), PAGE).at(0);
    if (segment && isStoreArea(segment)) return -EINVAL;
  }
  const result = yield* perform.home(SYS.shmat, regs.int('rdi'), regs.get('rsi'), flags);
  if (isError(result)) return result;
  const segment = readMaps(space.hostPid).find((area) => area.start === result);
  markForeign(space, result, segment ? segment.end - segment.start : PAGE);
  yield* perform.elsewhere(SYS.shmat, regs.int('rdi'), result, flags | SHM_REMAP);
  return result;
}

/** By system-call number; all run with the space's lock held. */
export const MEMORY_HANDLERS: ReadonlyMap<number, MemoryHandler> = new Map<number, MemoryHandler>([
  [SYS.mmap, mmap],
  [SYS.munmap, munmap],
  [SYS.mprotect, mprotect],
  [SYS.pkey_mprotect, mprotect],
  [SYS.madvise, madvise],
  [SYS.brk, brk],
  [SYS.mremap, mremap],
  [SYS.shmat, shmat],
]);
