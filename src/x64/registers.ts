/**
 * A typed view of `struct user_regs_struct` (arch/x86/include/asm/user_64.h): 27 words of 8 bytes.
 * Words are read as two halves, so that nothing is allocated: addresses and small results are exact as
 * numbers, and `copy` moves words that are neither.
 */
export const REG = {
  r15: 0, r14: 1, r13: 2, r12: 3, rbp: 4, rbx: 5, r11: 6, r10: 7, r9: 8, r8: 9, rax: 10, rcx: 11,
  rdx: 12, rsi: 13, rdi: 14, orig_rax: 15, rip: 16, cs: 17, eflags: 18, rsp: 19, ss: 20, fs_base: 21,
  gs_base: 22, ds: 23, es: 24, fs: 25, gs: 26,
} as const; // biome-ignore format: the kernel's order, by row

export type RegisterName = keyof typeof REG;

/** System-call arguments in order (arch/x86/entry/entry_64.S). */
export const ARGUMENTS: readonly RegisterName[] = ['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'];

/** A machine word on its way from one register to another. */
export type Word = number | bigint;

const WORDS = 27;
const HIGH = 0x1_0000_0000;

export class Registers {
  readonly bytes: Uint8Array;
  readonly #halves: Uint32Array;

  constructor() {
    this.bytes = new Uint8Array(WORDS * 8);
    this.#halves = new Uint32Array(this.bytes.buffer);
  }

  /** The word as an unsigned number; exact below 2^53, which every user address is. */
  get(register: RegisterName): number {
    const at = REG[register] * 2;
    return this.#halves[at + 1]! * HIGH + this.#halves[at]!;
  }

  /** The word as a signed number: results and error codes. */
  signed(register: RegisterName): number {
    const at = REG[register] * 2;
    return (this.#halves[at + 1]! | 0) * HIGH + this.#halves[at]!;
  }

  /** The low 32 bits, signed: file descriptors and `int` arguments. */
  int(register: RegisterName): number {
    return this.#halves[REG[register] * 2]! | 0;
  }

  /** @param value a whole number, negative for error codes and -1; a bigint where `word` gave one */
  set(register: RegisterName, value: Word): void {
    const at = REG[register] * 2;
    if (typeof value === 'bigint') {
      this.#halves[at] = Number(value & 0xffff_ffffn);
      this.#halves[at + 1] = Number((value >> 32n) & 0xffff_ffffn);
      return;
    }
    const high = Math.floor(value / HIGH);
    this.#halves[at] = (value - high * HIGH) >>> 0;
    this.#halves[at + 1] = high >>> 0;
  }

  /** Copies one word bit for bit. */
  copy(register: RegisterName, from: Registers, source: RegisterName = register): void {
    const to = REG[register] * 2;
    const at = REG[source] * 2;
    this.#halves[to] = from.#halves[at]!;
    this.#halves[to + 1] = from.#halves[at + 1]!;
  }

  /** The word bit for bit, for what may exceed 2^53. */
  exact(register: RegisterName): bigint {
    const at = REG[register] * 2;
    return (BigInt(this.#halves[at + 1]!) << 32n) | BigInt(this.#halves[at]!);
  }

  /** The word to be passed on bit for bit: a number where that is exact, so that the usual case allocates nothing. */
  word(register: RegisterName): Word {
    return this.#halves[REG[register] * 2 + 1]! < 2 ** 21 ? this.get(register) : this.exact(register);
  }

  assign(from: Registers): void {
    this.bytes.set(from.bytes);
  }
}
