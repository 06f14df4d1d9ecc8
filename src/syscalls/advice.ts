/** The advice of madvise(2), by number (asm-generic/mman-common.h). */
export const MADV = {
  DONTNEED: 4,
  FREE: 8,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  WIPEONFORK: 18,
  KEEPONFORK: 19,
  DONTNEED_LOCKED: 24,
} as const;

/**
 * Hints about pages, and marks that change nothing a program reads: done by the kernel as they are. All
 * others go by way of the supervisor, those too that later kernels will have.
 */
export const HINTS: ReadonlySet<number> = new Set([
  0, // MADV_NORMAL
  1, // MADV_RANDOM
  2, // MADV_SEQUENTIAL
  3, // MADV_WILLNEED
  12, // MADV_MERGEABLE
  13, // MADV_UNMERGEABLE
  14, // MADV_HUGEPAGE
  15, // MADV_NOHUGEPAGE
  16, // MADV_DONTDUMP
  17, // MADV_DODUMP
  20, // MADV_COLD
  21, // MADV_PAGEOUT
  22, // MADV_POPULATE_READ
  23, // MADV_POPULATE_WRITE
  25, // MADV_COLLAPSE
  100, // MADV_HWPOISON
  101, // MADV_SOFT_OFFLINE
]);
