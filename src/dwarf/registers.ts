/**
 * The registers that call frame information speaks of, under their DWARF numbers for x86-64
 * (System V ABI, AMD64 supplement, figure 3.36), which are not the numbers of the instruction encoding.
 */
export const DWARF_REGISTER_NAMES = [
  'rax',
  'rdx',
  'rcx',
  'rbx',
  'rsi',
  'rdi',
  'rbp',
  'rsp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rip',
] as const;

export type RegisterName = (typeof DWARF_REGISTER_NAMES)[number];

/** A stopped thread's registers, bit for bit. */
export interface RegisterSource {
  exact(register: RegisterName): bigint;
}

export const REGISTER_COUNT = DWARF_REGISTER_NAMES.length;
export const RSP = 7;
/** The ABI's return address column; after a step it holds the caller's rip. */
export const RIP = 16;

/** Register values under DWARF numbers; `undefined` where no frame saved the value. */
export type RegisterValues = readonly (bigint | undefined)[];
