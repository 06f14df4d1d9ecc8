/** Constants of mmap(2) and mprotect(2), as x86-64 has them. */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_SHARED_VALIDATE = 0x03;
/** The sharing kind is a number, not a bit. */
export const MAP_TYPE = 0x0f;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_32BIT = 0x40;
export const MAP_ABOVE4G = 0x80;
export const MAP_GROWSDOWN = 0x0100;
export const MAP_LOCKED = 0x2000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_STACK = 0x20000;
export const MAP_HUGETLB = 0x40000;
export const MAP_FIXED_NOREPLACE = 0x100000;

/** Only one of the two may be given; what grows up does not exist on x86 (asm/mman.h). */
export const PROT_GROWSDOWN = 0x0100_0000;
export const PROT_GROWSUP = 0x0200_0000;

/** `rwx` letters of /proc/PID/maps as PROT_ bits. */
export const protectionBits = (permissions: string): number =>
  (permissions[0] === 'r' ? PROT_READ : 0) |
  (permissions[1] === 'w' ? PROT_WRITE : 0) |
  (permissions[2] === 'x' ? PROT_EXEC : 0);

/** How /proc/PID/maps names the store. */
const STORE_FILE = '/memfd:atlas (deleted)';

/** Whether the store backs the area. */
export const isStoreArea = (area: { name: string; permissions: string }): boolean =>
  area.name === STORE_FILE && area.permissions[3] === 's';
