/**
 * Which handler a call has that changes address spaces. Calls of class `everywhere` without one of their
 * own are made as they are: at home, and then in every other generation.
 */
import { MEMORY_OPTIONS } from '../families/threads.js';
import { SYS } from '../../linux/syscall-numbers.js';
import type { Space } from '../../process/model.js';
import type { Steps } from '../../process/steps.js';
import { ARGUMENTS, type Registers } from '../../x64/registers.js';
import type { Performer } from '../performer.js';
import { stubClassOf } from '../table.js';
import { madvise } from './advise.js';
import { brk } from './break.js';
import { lockAll, memoryLock, seal } from './locks.js';
import { mmap } from './mmap.js';
import { mprotect } from './protect.js';
import type { MemoryHandler } from './ranges.js';
import { mremap } from './remap.js';
import { limit } from './limits.js';
import { shmat, shmctl } from './segments.js';
import { munmap } from './unmap.js';

const HANDLERS: ReadonlyMap<number, MemoryHandler> = new Map<number, MemoryHandler>([
  [SYS.mmap, mmap],
  [SYS.munmap, munmap],
  [SYS.mprotect, mprotect],
  [SYS.pkey_mprotect, mprotect],
  [SYS.madvise, madvise],
  [SYS.brk, brk],
  [SYS.mremap, mremap],
  [SYS.shmat, shmat],
  [SYS.shmctl, shmctl],
  [SYS.mlock, memoryLock],
  [SYS.mlock2, memoryLock],
  [SYS.mlockall, lockAll],
  [SYS.mseal, seal],
  [SYS.setrlimit, limit],
  [SYS.prlimit64, limit],
]);

/** In a plain process the kernel does it as it stands. */
export const onlyRepeated = (nr: number): boolean => !HANDLERS.has(nr) && stubClassOf(nr) === 'everywhere';

/** Undefined for a call that is not made everywhere. */
export function handlerOf(nr: number): MemoryHandler | undefined {
  return HANDLERS.get(nr) ?? (stubClassOf(nr) === 'everywhere' ? asItIs : undefined);
}

/** Whether a prctl changes the address space. */
export const changesMemory = (regs: Registers): boolean => MEMORY_OPTIONS.includes(regs.int('rdi'));

/** The call as the program makes it, in every generation. */
export function* asItIs(perform: Performer, _space: Space, regs: Registers): Steps<number> {
  const args = ARGUMENTS.map((register) => regs.word(register));
  return yield* perform.everywhere(regs.signed('orig_rax'), ...args);
}
