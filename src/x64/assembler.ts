/**
 * A small assembler: bytes with labels. Only what the gate, the islands and the launcher need; encodings
 * are from the Intel SDM volume 2. Every jump and RIP-relative operand uses a 32-bit displacement.
 */
type Operand64 =
  | 'rax'
  | 'rcx'
  | 'rdx'
  | 'rbx'
  | 'rsp'
  | 'rbp'
  | 'rsi'
  | 'rdi'
  | 'r8'
  | 'r9'
  | 'r10'
  | 'r11'
  | 'r12';

const NUMBER: Readonly<Record<Operand64, number>> = {
  rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7, r8: 8, r9: 9, r10: 10, r11: 11, r12: 12,
}; // biome-ignore format: one row

/** Condition codes of `jcc rel32` (0f 8x). */
const CONDITION = { b: 0x82, ae: 0x83, e: 0x84, ne: 0x85, be: 0x86, a: 0x87, s: 0x88 } as const;

export class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: { at: number; label: string }[] = [];
  /** The address of the first byte. */
  readonly base: number;

  constructor(base: number) {
    this.base = base;
  }

  get here(): number {
    return this.base + this.#bytes.length;
  }

  emit(...bytes: number[]): this {
    for (const byte of bytes) this.#bytes.push(byte & 0xff);
    return this;
  }

  word32(value: number): this {
    return this.emit(value, value >> 8, value >> 16, value >> 24);
  }

  /** An address below 2^47 as 8 bytes. */
  word64(value: number): this {
    return this.word32(value | 0).word32(Math.floor(value / 0x1_0000_0000));
  }

  label(name: string): this {
    this.#labels.set(name, this.here);
    return this;
  }

  /** A label for an address outside of this code, within 2 GiB. */
  external(name: string, address: number): this {
    this.#labels.set(name, address);
    return this;
  }

  addressOf(name: string): number {
    const address = this.#labels.get(name);
    if (address === undefined) throw new Error(`assembler: no label ${name}`);
    return address;
  }

  /** Pads with `int3`, so that a stray jump is seen. */
  align(to: number): this {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0xcc);
    return this;
  }

  syscall(): this {
    return this.emit(0x0f, 0x05);
  }

  /** mov r32, imm32: zero-extends into the whole register. */
  moveImmediate(to: Operand64, value: number): this {
    const n = NUMBER[to];
    return (n > 7 ? this.emit(0x41) : this).emit(0xb8 | (n & 7)).word32(value);
  }

  move(to: Operand64, from: Operand64): this {
    const [d, s] = [NUMBER[to], NUMBER[from]];
    return this.emit(0x48 | ((s >> 3) << 2) | (d >> 3), 0x89, 0xc0 | ((s & 7) << 3) | (d & 7));
  }

  /** mov [base + displacement], register; base is rsp or rbx. */
  store(base: 'rsp' | 'rbx', displacement: number, from: Operand64): this {
    return this.#memory(0x89, base, displacement, from);
  }

  load(to: Operand64, base: 'rsp' | 'rbx', displacement: number): this {
    return this.#memory(0x8b, base, displacement, to);
  }

  #memory(opcode: number, base: 'rsp' | 'rbx', displacement: number, register: Operand64): this {
    const n = NUMBER[register];
    this.emit(0x48 | ((n >> 3) << 2), opcode, 0x80 | ((n & 7) << 3) | NUMBER[base]);
    if (base === 'rsp') this.emit(0x24);
    return this.word32(displacement);
  }

  /** lea rsp, [rsp + displacement]: moves the stack pointer and leaves the flags alone. */
  moveStack(displacement: number): this {
    return this.emit(0x48, 0x8d, 0xa4, 0x24).word32(displacement);
  }

  /** lea register, [rip + label] */
  loadAddress(to: Operand64, label: string): this {
    const n = NUMBER[to];
    return this.emit(0x48 | ((n >> 3) << 2), 0x8d, 0x05 | ((n & 7) << 3)).#relative(label);
  }

  /** and/or/xor/cmp r64, imm32 (sign-extended): opcode group 81 /4 /1 /6 /7. */
  arithmetic(operation: 'and' | 'or' | 'xor' | 'cmp' | 'add', register: Operand64, immediate: number): this {
    const extension = { add: 0, or: 1, and: 4, xor: 6, cmp: 7 }[operation];
    const n = NUMBER[register];
    return this.emit(0x48 | (n >> 3), 0x81, 0xc0 | (extension << 3) | (n & 7)).word32(immediate);
  }

  subtract(from: Operand64, what: Operand64): this {
    const [d, s] = [NUMBER[from], NUMBER[what]];
    return this.emit(0x48 | ((s >> 3) << 2) | (d >> 3), 0x29, 0xc0 | ((s & 7) << 3) | (d & 7));
  }

  add(to: Operand64, what: Operand64): this {
    const [d, s] = [NUMBER[to], NUMBER[what]];
    return this.emit(0x48 | ((s >> 3) << 2) | (d >> 3), 0x01, 0xc0 | ((s & 7) << 3) | (d & 7));
  }

  /** shr r64, imm8 */
  shiftRight(register: Operand64, bits: number): this {
    const n = NUMBER[register];
    return this.emit(0x48 | (n >> 3), 0xc1, 0xe8 | (n & 7), bits);
  }

  shiftLeft(register: Operand64, bits: number): this {
    const n = NUMBER[register];
    return this.emit(0x48 | (n >> 3), 0xc1, 0xe0 | (n & 7), bits);
  }

  compare(left: Operand64, right: Operand64): this {
    const [d, s] = [NUMBER[left], NUMBER[right]];
    return this.emit(0x48 | ((s >> 3) << 2) | (d >> 3), 0x39, 0xc0 | ((s & 7) << 3) | (d & 7));
  }

  /** test r64, imm32 */
  testImmediate(register: Operand64, immediate: number): this {
    const n = NUMBER[register];
    return this.emit(0x48 | (n >> 3), 0xf7, 0xc0 | (n & 7)).word32(immediate);
  }

  /** lock inc / lock dec dword [address], RIP-relative. */
  lockIncrement(address: number): this {
    return this.emit(0xf0, 0xff, 0x05).displacement(address, 0);
  }

  lockDecrement(address: number): this {
    return this.emit(0xf0, 0xff, 0x0d).displacement(address, 0);
  }

  /** cmp dword [address], 0, RIP-relative. */
  compareMemoryZero(address: number): this {
    return this.emit(0x83, 0x3d).displacement(address, 1).emit(0);
  }

  /** mov r64, [address], RIP-relative. */
  loadFrom(to: Operand64, address: number): this {
    const n = NUMBER[to];
    return this.emit(0x48 | ((n >> 3) << 2), 0x8b, 0x05 | ((n & 7) << 3)).displacement(address, 0);
  }

  storeTo(address: number, from: Operand64): this {
    const n = NUMBER[from];
    return this.emit(0x48 | ((n >> 3) << 2), 0x89, 0x05 | ((n & 7) << 3)).displacement(address, 0);
  }

  /** lock cmpxchg dword [address], r32: compares with eax. */
  compareExchange(address: number, from: 'rcx'): this {
    return this.emit(0xf0, 0x0f, 0xb1, 0x05 | (NUMBER[from] << 3)).displacement(address, 0);
  }

  /** mov dword [address], 0 */
  clearMemory(address: number): this {
    return this.emit(0xc7, 0x05).displacement(address, 4).word32(0);
  }

  call(label: string): this {
    return this.emit(0xe8).#relative(label);
  }

  return(): this {
    return this.emit(0xc3);
  }

  jump(label: string): this {
    return this.emit(0xe9).#relative(label);
  }

  jumpIf(condition: keyof typeof CONDITION, label: string): this {
    return this.emit(0x0f, CONDITION[condition]).#relative(label);
  }

  jumpRegister(register: 'rcx'): this {
    return this.emit(0xff, 0xe0 | NUMBER[register]);
  }

  /** jmp [rip + 0] followed by the target: reaches everywhere and needs no register. */
  jumpAbsolute(target: number): this {
    return this.emit(0xff, 0x25).word32(0).word64(target);
  }

  /** @param trailing bytes of the instruction that follow the displacement */
  displacement(address: number, trailing = 0): this {
    return this.word32(address - (this.here + 4 + trailing));
  }

  #relative(label: string): this {
    this.#fixups.push({ at: this.#bytes.length, label });
    return this.word32(0);
  }

  finish(): Uint8Array {
    const code = Uint8Array.from(this.#bytes);
    const view = new DataView(code.buffer);
    for (const { at, label } of this.#fixups) {
      view.setInt32(at, this.addressOf(label) - (this.base + at + 4), true);
    }
    return code;
  }
}
