/**
 * What the memory calls have in common. One rule holds in all of them: **the kernel agrees before anything
 * is freed**. What is to be replaced or unmapped is first covered by a placeholder, a mapping without
 * access, at home; if the kernel refuses that (sealed memory, a limit, a range that is none) nothing has
 * happened. Only then are the store's pages punched, and only then may the addresses be somebody else's.
 */
import { isError } from '../../linux/errno.js';
import { type MapsLine, readMaps } from '../../linux/proc.js';
import { SYS } from '../../linux/syscall-numbers.js';
import { PAGE, pageUp } from '../../memory/store.js';
import { alone } from '../../process/gate-mode.js';
import type { BatchEntry } from '../../process/inject.js';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../process/mapping.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { GATE_PINS_MEMORY } from '../../x64/gate.js';
import type { Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';

/** Runs with the space's lock held and answers the program's result. */
export type MemoryHandler = (perform: Performer, space: Space, regs: Registers) => Steps<number>;

/** TASK_SIZE_MAX (asm/page_64_types.h): the last page below 2^47 is nobody's. */
export const TASK_SIZE = 2 ** 47 - PAGE;

/** `length` is a whole number of pages. */
export const isUserRange = (start: number, length: number): boolean =>
  start % PAGE === 0 && length > 0 && start + length <= TASK_SIZE;

export const overlapping = (space: Space, start: number, length: number): MapsLine[] =>
  readMaps(space.hostPid).filter((area) => area.start < start + length && area.end > start);

export const placeholderAt = (start: number, length: number): BatchEntry => [
  SYS.mmap,
  start,
  length,
  PROT_NONE,
  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
  -1,
  0,
];

export const storeAt = (
  storeFd: number,
  start: number,
  length: number,
  protection: number,
  flags: number,
): BatchEntry => [SYS.mmap, start, length, protection, MAP_SHARED | flags, storeFd, start];

/** Takes the content of a range away that is nobody's now, wherever it was backed by the store. */
export function forget(space: Space, start: number, length: number): void {
  space.store.punch(start, length);
  space.watched.remove(start, start + length);
}

/** Ends what is mapped in [start, start + length), whole pages, in all generations. */
export function* unmap(perform: Performer, space: Space, start: number, length: number): Steps<number> {
  if (!space.plural) {
    const covered = yield* perform.home(...placeholderAt(start, length));
    if (!isError(covered)) {
      forget(space, start, length);
      return yield* perform.home(SYS.munmap, start, length);
    }
    // A limit, an address below the least that may be mapped: the range is unmapped while nobody else can take it.
  }
  return yield* alone(perform.kernel, space, function* () {
    const result = yield* perform.home(SYS.munmap, start, length);
    if (isError(result)) return result;
    yield* perform.elsewhere([[SYS.munmap, start, length]]);
    forget(space, start, length);
    return result;
  });
}

/**
 * Takes a range that was free, which is mapped at home already: the same mapping everywhere else.
 * @returns 0, or the error after which nothing is mapped there
 */
export function* alsoElsewhere(
  perform: Performer,
  space: Space,
  start: number,
  length: number,
  calls: readonly BatchEntry[],
): Steps<number> {
  if (!space.plural) return 0;
  const answers = yield* perform.tryElsewhere(calls);
  const failed = answers.flatMap(({ results }) => results.filter(isError));
  if (failed.length === 0) return 0;
  perform.kernel.emit('mirror-undone', { call: calls[0]!.map(String), errno: -failed[0]! });
  const end: BatchEntry = [SYS.munmap, start, length];
  yield* perform.home(...end);
  yield* perform.elsewhere([end]);
  forget(space, start, length);
  return failed[0]!;
}

/**
 * Whether the kernel would let the program have so much private writable memory at once: overcommit and
 * RLIMIT_AS (mm/util.c, __vm_enough_memory; mm/vma.c, may_expand_vm). The store's mappings are not accounted.
 * @returns 0 or the error
 */
export function* afford(perform: Performer, length: number): Steps<number> {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const probe = yield* perform.home(SYS.mmap, 0, length, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (isError(probe)) return probe;
  yield* perform.home(SYS.munmap, probe, length);
  return 0;
}

/** The process locks or seals memory: what an advice frees may be part of it, and the gate asks us. */
export function notePinned(space: Space): void {
  space.store.write(GATE_PINS_MEMORY, Uint8Array.of(1));
}

export function pinsMemory(space: Space): boolean {
  const word = new Uint8Array(1);
  space.store.read(GATE_PINS_MEMORY, word);
  return word[0] !== 0;
}

/** The range that a call names, in whole pages, and whether it can be one. */
export function rangeOf(regs: Registers): { start: number; length: number; isRange: boolean } {
  const start = regs.get('rdi');
  const length = pageUp(regs.get('rsi'));
  return { start, length, isRange: isUserRange(start, length) };
}
