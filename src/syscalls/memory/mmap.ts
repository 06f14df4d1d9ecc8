/** mmap: private memory goes into the store, everything else is mapped as it is, everywhere. */
import { statSync } from 'node:fs';
import { EINVAL, ENOMEM, EPERM, isError } from '../../linux/errno.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { PAGE, pageDown, pageUp, Store } from '../../memory/store.js';
import { callElsewhere } from '../../process/elsewhere.js';
import { markForeign } from '../../process/foreign.js';
import { alone } from '../../process/gate-mode.js';
import { agentCall } from '../../process/generation.js';
import type { BatchEntry } from '../../process/inject.js';
import { MappedFile } from '../../process/mapped-file.js';
import {
  MAP_32BIT,
  MAP_ABOVE4G,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import { rewriteCallSites } from '../../process/rewrite.js';
import type { Steps } from '../../process/steps.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import {
  afford,
  alsoElsewhere,
  forget,
  isUserRange,
  notePinned,
  pinsMemory,
  placeholderAt,
  storeAt,
  TASK_SIZE,
} from './ranges.js';

interface Request {
  hint: number;
  /** As the program said it, and in whole pages. */
  bytes: number;
  length: number;
  protection: number;
  flags: number;
  fd: number;
  offset: number;
  /** Replaces what is there. */
  fixed: boolean;
}

export function* mmap(perform: Performer, space: Space, regs: Registers): Steps<number> {
  const flags = regs.int('r10');
  const request: Request = {
    hint: regs.get('rdi'),
    bytes: regs.get('rsi'),
    length: pageUp(regs.get('rsi')),
    protection: regs.int('rdx'),
    flags,
    fd: regs.int('r8'),
    offset: regs.get('r9'),
    fixed: (flags & MAP_FIXED) !== 0 && (flags & MAP_FIXED_NOREPLACE) === 0,
  };
  const { length, protection } = request;
  const type = flags & MAP_TYPE;
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  // MAP_DROPPABLE and what may come: private memory of a kind that the store does not have.
  if (type !== MAP_PRIVATE && type !== MAP_SHARED && type !== MAP_SHARED_VALIDATE)
    return anonymous ? -EINVAL : yield* perform.own();
  if (length === 0) return -EINVAL;
  if (length > TASK_SIZE) return -ENOMEM;
  const isPrivate = type === MAP_PRIVATE;
  if (isPrivate && anonymous && flags & MAP_HUGETLB) {
    // Huge pages would need a store of their own; programs fall back as they do where none are configured.
    perform.kernel.emit('huge-pages-refused', { length });
    return -ENOMEM;
  }
  if ((flags & MAP_LOCKED) !== 0) notePinned(space);
  if (isPrivate && anonymous) return yield* mapPrivate(perform, space, request);
  if (isPrivate && protection & PROT_WRITE) return yield* mapPrivateFile(perform, space, request);
  if (anonymous && space.plural) return yield* mapSharedAnonymous(perform, space, request);
  return yield* mapForeign(perform, space, request, regs);
}

/* ---- what is not the store's */

/** Shared mappings, and private ones that cannot be written: the kernel's own. */
function* mapForeign(perform: Performer, space: Space, request: Request, regs: Registers): Steps<number> {
  const { hint, length, protection, flags, fd, offset, fixed } = request;
  // Before the mapping is there: the gate must not take it for the store's for a moment.
  if (fixed && isUserRange(hint, length)) markForeign(space, hint, length);
  const result = yield* perform.own();
  if (isError(result)) return result;
  markForeign(space, result, length);
  const calls: BatchEntry[] = [
    [
      SYS.mmap,
      result,
      regs.word('rsi'),
      protection,
      atTheSamePlace(flags, fixed),
      regs.word('r8'),
      regs.word('r9'),
    ],
  ];
  if (fixed) {
    yield* perform.elsewhere(calls);
    forget(space, result, length);
  } else if (space.plural) {
    const error = yield* mapForeignElsewhere(perform, space, calls[0]!, length);
    if (isError(error)) return error;
  }
  const isText = (flags & MAP_TYPE) === MAP_PRIVATE && (protection & PROT_EXEC) !== 0;
  if (isText && space.executesMappedText) {
    space.watched.add(result, result + length, { kind: 'text' });
    const text = { start: result, length, offset, file: `/proc/${perform.thread.tid}/fd/${fd}` };
    yield* rewriteCallSites(perform.kernel, space, text, {
      task: perform.thread.tid,
      map: (island) => mapFresh(perform, space, island),
    });
  }
  return result;
}

/** MAP_SHARED_VALIDATE does not know MAP_FIXED_NOREPLACE (linux/mman.h, LEGACY_MAP_MASK). */
const atTheSamePlace = (flags: number, fixed: boolean): number => {
  if (fixed) return flags;
  const free = (flags & MAP_TYPE) === MAP_SHARED_VALIDATE ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  return (flags & ~(MAP_FIXED | MAP_32BIT | MAP_ABOVE4G)) | free;
};

/** Something at a place that must be free, everywhere. */
function* mapFresh(perform: Performer, space: Space, call: BatchEntry): Steps<number> {
  const result = yield* perform.home(...call);
  if (isError(result)) return result;
  const [, start, length] = call as [number, number, number];
  const error = yield* alsoElsewhere(perform, space, start, length, [call]);
  return isError(error) ? error : result;
}

/** Some files (io_uring's rings) refuse to be mapped at an address: there the kernel's choice is moved. */
function* mapForeignElsewhere(
  perform: Performer,
  space: Space,
  call: BatchEntry,
  length: number,
): Steps<number> {
  const MREMAP_MAYMOVE_FIXED = 3;
  const { kernel } = perform;
  const [nr, address, bytes, protection, flags, ...file] = call as [number, number, ...number[]];
  const answers = yield* callElsewhere(kernel, space, [call]);
  for (const { generation, results } of answers) {
    if (results[0] !== -EINVAL) continue;
    const anywhere = flags! & ~(MAP_FIXED | MAP_FIXED_NOREPLACE);
    const at = yield* agentCall(kernel, generation, nr, 0, bytes!, protection!, anywhere, ...file);
    results[0] = at;
    if (!isError(at) && at !== address)
      results[0] = yield* agentCall(
        kernel,
        generation,
        SYS.mremap,
        at,
        length,
        length,
        MREMAP_MAYMOVE_FIXED,
        address,
      );
  }
  const failed = answers.map(({ results }) => results[0]!).find(isError);
  if (failed === undefined) return 0;
  kernel.emit('mirror-undone', { call: call.map(String), errno: -failed });
  yield* perform.home(SYS.munmap, address, length);
  yield* perform.elsewhere([[SYS.munmap, address, length]]);
  return failed;
}

/** Two mappings of MAP_SHARED|MAP_ANONYMOUS are two objects: with several generations it needs a file. */
function* mapSharedAnonymous(perform: Performer, space: Space, request: Request): Steps<number> {
  const { hint, length, protection, flags, fixed } = request;
  const { gate, memfdFlags } = perform.kernel;
  if (!(flags & MAP_NORESERVE)) {
    const refused = yield* afford(perform, length);
    if (isError(refused)) return refused;
  }
  const fd = yield* perform.home(SYS.memfd_create, gate.sharedName, memfdFlags);
  if (isError(fd)) return -ENOMEM;
  using _file = yield* perform.shown(() => new Store(perform.thread.home.tid, fd, length));
  if (fixed && isUserRange(hint, length)) markForeign(space, hint, length);
  const file = flags & ~MAP_ANONYMOUS;
  let result = yield* perform.home(SYS.mmap, hint, length, protection, file, fd, 0);
  if (!isError(result)) {
    markForeign(space, result, length);
    const again: BatchEntry = [SYS.mmap, result, length, protection, atTheSamePlace(file, fixed), fd, 0];
    if (fixed) {
      yield* perform.elsewhere([again]);
      forget(space, result, length);
    } else {
      const error = yield* alsoElsewhere(perform, space, result, length, [again]);
      if (isError(error)) result = error;
    }
  }
  yield* perform.home(SYS.close, fd);
  return result;
}

/* ---- what is the store's */

/**
 * Finds the place, as the kernel would, and has the kernel agree: a placeholder with everything that may be
 * refused. What was there before is gone at home then, if the place was fixed, and its content is not yet.
 */
function* agree(perform: Performer, space: Space, request: Request): Steps<number> {
  const { hint, length, protection, flags } = request;
  const place = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_ABOVE4G);
  const may = flags & (MAP_NORESERVE | MAP_LOCKED);
  // Locked memory would be filled at once, unless it is inaccessible; what is writable is accounted.
  const filled = flags & MAP_LOCKED || pinsMemory(space);
  const asked = filled && !(protection & PROT_EXEC) ? PROT_NONE : protection;
  return yield* perform.home(SYS.mmap, hint, length, asked, MAP_PRIVATE | MAP_ANONYMOUS | place | may, -1, 0);
}

/** Over the placeholder; at the limit of areas, in its place. */
function* mapStoreAtHome(
  perform: Performer,
  space: Space,
  start: number,
  length: number,
  protection: number,
  flags: number,
): Steps<number> {
  const { kernel } = perform;
  const mapped = yield* perform.home(
    ...storeAt(kernel.storeFd, start, length, protection, flags | MAP_FIXED),
  );
  if (mapped !== -ENOMEM) return mapped;
  // The placeholder may be the one area too many (mm/mmap.c, sysctl_max_map_count).
  return yield* alone(kernel, space, function* () {
    yield* perform.home(SYS.munmap, start, length);
    return yield* perform.home(
      ...storeAt(kernel.storeFd, start, length, protection, flags | MAP_FIXED_NOREPLACE),
    );
  });
}

/** What of the flags the store's mapping keeps. */
const keptFlags = (flags: number): number =>
  flags &
  ~(MAP_TYPE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_ABOVE4G | MAP_GROWSDOWN);

/** Anonymous private memory. */
function* mapPrivate(perform: Performer, space: Space, request: Request): Steps<number> {
  const { length, protection, flags, fixed } = request;
  const start = yield* agree(perform, space, request);
  if (isError(start)) return start;
  if (fixed) {
    yield* perform.elsewhere([placeholderAt(start, length)]);
    forget(space, start, length);
  }
  const kept = keptFlags(flags);
  const mapped = yield* mapStoreAtHome(perform, space, start, length, protection, kept);
  if (isError(mapped)) return yield* takeBack(perform, space, request, start, mapped);
  const { storeFd } = perform.kernel;
  const again = storeAt(
    storeFd,
    start,
    length,
    protection,
    (kept & ~MAP_POPULATE) | (fixed ? MAP_FIXED : MAP_FIXED_NOREPLACE),
  );
  const error = yield* alsoElsewhere(perform, space, start, length, [again]);
  return isError(error) ? error : start;
}

function* takeBack(
  perform: Performer,
  space: Space,
  { length, fixed }: Request,
  start: number,
  error: number,
): Steps<number> {
  yield* perform.home(SYS.munmap, start, length);
  if (fixed) yield* perform.elsewhere([[SYS.munmap, start, length]]);
  forget(space, start, length);
  return error;
}

/** A private mapping of a file that may be written: the store gets the file's bytes. */
function* mapPrivateFile(perform: Performer, space: Space, request: Request): Steps<number> {
  const { bytes, length, protection, flags, fd, offset, fixed } = request;
  // The kernel's own checks of descriptor, offset and permissions, before anything is replaced.
  const probe = yield* probeFile(perform, request);
  if (isError(probe.at)) return probe.at;
  const lastPage = yield* lastPageOf(perform, request, probe.at);
  // At once: it may be in the very place where the program wants its mapping.
  yield* perform.home(SYS.munmap, probe.at, length);

  const start = yield* agree(perform, space, request);
  if (isError(start)) return start;
  // Before the mapping is there: the gate must not clear what is not to become zero.
  markForeign(space, start, length);
  if (fixed) {
    yield* perform.elsewhere([placeholderAt(start, length)]);
    forget(space, start, length);
  }
  const kept = keptFlags(flags);
  const { storeFd } = perform.kernel;
  const mapped = yield* mapStoreAtHome(perform, space, start, length, PROT_READ | PROT_WRITE, kept);
  if (isError(mapped)) return yield* takeBack(perform, space, request, start, mapped);
  const filled = yield* fill(perform, start, bytes, fd, offset);
  const tail = pageUp(filled);
  if (filled < tail && lastPage) space.store.write(start + tail - PAGE, lastPage);
  const place = fixed ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  const again: BatchEntry[] = [storeAt(storeFd, start, length, protection, (kept & ~MAP_POPULATE) | place)];
  if (protection !== (PROT_READ | PROT_WRITE)) {
    const protectedAt = yield* perform.home(SYS.mprotect, start, length, protection);
    if (isError(protectedAt)) return yield* takeBack(perform, space, request, start, protectedAt);
  }
  // Pages wholly behind the file's end fault with SIGBUS; they hold nothing, so they need not be shared.
  if (tail < length) {
    const behind: BatchEntry = [
      SYS.mmap,
      start + tail,
      length - tail,
      protection,
      MAP_PRIVATE | MAP_FIXED,
      fd,
      offset + tail,
    ];
    const mappedBehind = yield* perform.home(...behind);
    if (isError(mappedBehind)) return yield* takeBack(perform, space, request, start, mappedBehind);
    again.push(behind);
  }
  const error = yield* alsoElsewhere(perform, space, start, length, again);
  if (isError(error)) return error;
  const file = MappedFile.of(`/proc/${perform.thread.tid}/fd/${fd}`);
  space.watched.add(start, start + tail, { kind: 'file', file, offset, noExec: probe.noExec });
  return start;
}

/**
 * Maps the file for a moment: executable where that is allowed, because later, when the descriptor is
 * closed, nobody could tell that it came from a `noexec` mount.
 */
function* probeFile(
  perform: Performer,
  { bytes, protection, fd, offset }: Request,
): Steps<{ at: number; noExec: boolean }> {
  const map = (how: number): Steps<number> => perform.home(SYS.mmap, 0, bytes, how, MAP_PRIVATE, fd, offset);
  const executable = yield* map(PROT_READ | PROT_EXEC);
  if (executable !== -EPERM || protection & PROT_EXEC) return { at: executable, noExec: false };
  return { at: yield* map(PROT_READ), noExec: true };
}

/** Reads the file's bytes into the fresh mapping. @returns how many there were before its end, or an error */
function* fill(perform: Performer, start: number, length: number, fd: number, offset: number): Steps<number> {
  let done = 0;
  while (done < length) {
    const got = yield* perform.home(SYS.pread64, fd, start + done, length - done, offset + done);
    // What cannot be read is mapped as it is: who touches it sees what the file makes of that.
    if (got <= 0) break;
    done += got;
  }
  return done;
}

/**
 * The page with the file's end, if it is in the mapping. Behind its end a file's last page holds what was
 * written there through a shared mapping (mmap(2), NOTES), which no read gives.
 */
function* lastPageOf(
  perform: Performer,
  { length, fd, offset }: Request,
  start: number,
): Steps<Uint8Array | undefined> {
  const { size } = yield* perform.shown(() => statSync(`/proc/${perform.thread.tid}/fd/${fd}`));
  if (size % PAGE === 0 || size <= offset || size > offset + length) return undefined;
  using memory = perform.openBase();
  const page = memory.read(start + pageDown(size - offset), PAGE);
  return page.length === PAGE ? page : undefined;
}
