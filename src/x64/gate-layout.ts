/**
 * Where things lie in the gate: the few pages that Atlas adds to every address space of a supervised
 * process, at one address for the whole process tree (the seccomp filter compares the instruction pointer
 * with it). They lie in the store like all shared memory, so that every generation sees the same gate.
 */
import { SYS } from '../linux/syscall-numbers.js';

const PAGE = 4096;

/**
 * Away from where the kernel puts things: below the lowest place of a position-independent executable (2/3 of the
 * address space, fs/binfmt_elf.c, ELF_ET_DYN_BASE). And inside what the shadow memory of sanitizers leaves to
 * the program: ThreadSanitizer allows 0x5500'0000'0000 to 0x5680'0000'0000 there, MemorySanitizer 0x5100'0000'0000
 * to 0x6000'0000'0000, AddressSanitizer all above 0x1000'7fff'8000.
 */
export const GATE_START = 0x5500_a500_0000;
/** Exclusive end of the code whose system calls are not mediated; the trap routines follow. */
export const GATE_FREE_END = GATE_START + PAGE;
/** Exclusive end of the code. The words that the supervisor and the routines share follow. */
export const GATE_DATA = GATE_START + 2 * PAGE;
/** The pages that were freed and are kept for reuse (gate-recycle.ts). */
export const GATE_KEPT = GATE_START + 3 * PAGE;
export const KEPT_PAGES = 8192;
export const GATE_LISTS = GATE_KEPT + KEPT_PAGES * 8;
export const GATE_LIST_ENTRIES = (16 * PAGE) / 64;
/** A byte for every granule of the address space: whether anything but the store may be mapped there. */
export const GATE_FOREIGN = GATE_START + 0x10_0000;
export const GRANULE_BITS = 24;
export const GATE_END = GATE_FOREIGN + 2 ** (47 - GRANULE_BITS);

/** 0 while there is a single generation. */
export const GATE_MODE = GATE_DATA;
/** Threads inside a memory routine. */
export const GATE_INFLIGHT = GATE_DATA + 4;
/** 1 while a thread is inside the brk routine. */
export const GATE_BREAK_LOCK = GATE_DATA + 8;
/** Not 0: the process locks or seals memory, whose content an advice or a break must not take away. */
export const GATE_PINS_MEMORY = GATE_DATA + 12;
export const GATE_BREAK_START = GATE_DATA + 16;
export const GATE_BREAK_END = GATE_DATA + 24;
/** The end of what is mapped for the heap; from the break on it is inaccessible. */
export const GATE_BREAK_TOP = GATE_DATA + 32;

/** How many pages may still find their slot taken before the supervisor looks through the kept pages. */
export const GATE_PATIENCE = GATE_DATA + 40;

/** How many slots of GATE_WATCHED may be in use; negative: more than there are, so that everything is watched. */
export const GATE_WATCHED_COUNT = GATE_DATA + 48;
/** Ranges that only the supervisor may change (process/watched.ts): start and end, 8 bytes each. */
export const GATE_WATCHED = GATE_DATA + 64;
export const WATCHED_SLOTS = (PAGE - 64) / 16;
/** What the kernel may refuse for its size (mm/util.c, __vm_enough_memory) goes by way of the supervisor, which asks. */
export const LARGE = 2 ** 28;

/** A number that Linux will not give to a system call: made from the gate, it means "done, look at rdi". */
export const MARKER = 0x3a71;

/** The calls that the gate performs in the process while there is one generation. */
export const GATE_CALLS = [SYS.mmap, SYS.munmap, SYS.madvise, SYS.mprotect, SYS.brk] as const;

/** What a routine uses of the stack below the caller's rsp: the red zone (System V ABI, 3.2.2) and its own frame. */
export const GATE_FRAME = 512;
