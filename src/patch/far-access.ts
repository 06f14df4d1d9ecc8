import {
  Code,
  Decoder,
  DecoderOptions,
  Encoder,
  FlowControl,
  type Instruction,
  InstructionInfoFactory,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86';

/*
 * Code for an executable reaches a library's variable as if it were near, because the static linker makes a near copy
 * of it (psABI, R_X86_64_COPY). A patch cannot make one: the program and its libraries would have two variables. So the
 * instruction is moved out of line, where there is room to load the address first:
 *
 *     mov  x(%rip),%rax        jmp 1f          1: mov slot(%rip),%rax      slot: the variable's address
 *     …                        nop                mov (%rax),%rax
 *                              …                  jmp …
 *
 * Where the instruction gives no register to load the address into, one is kept below the red zone meanwhile. No flag
 * is touched.
 */
export interface FarAccess {
  /** Of the instruction, in the code. */
  start: number;
  length: number;
  /** From the symbol to what the instruction means. */
  distance: number;
  /** What replaces the instruction elsewhere, up to the jump back. */
  code: Uint8Array;
  /** Of the PC-relative field in `code` that must lead to a slot with the address. */
  slotField: number;
}

/** A jump must fit in the place of the instruction. */
const JUMP = 5;
const RED_ZONE = 128;

/** Registers that a function may use without saving them come first; rbp and rsp never. */
const SPARE = [
  Register.RAX,
  Register.RCX,
  Register.RDX,
  Register.RSI,
  Register.RDI,
  Register.R8,
  Register.R9,
  Register.R10,
  Register.R11,
];

/**
 * @param code of one function
 * @param field the relocated bytes of one of its instructions: a displacement or an immediate operand of 32 bits
 * @param addend as the relocation has it
 * @returns `undefined` when the instruction cannot be moved
 */
export function moveOutOfLine(code: Uint8Array, field: number, addend: number): FarAccess | undefined {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  try {
    while (decoder.canDecode && decoder.position <= field) {
      const start = decoder.position;
      const instruction = decoder.decode();
      try {
        if (start + instruction.length > field) {
          return moved(decoder, instruction, start, field - start, addend);
        }
      } finally {
        instruction.free();
      }
    }
    return undefined;
  } finally {
    decoder.free();
  }
}

function moved(
  decoder: Decoder,
  instruction: Instruction,
  start: number,
  field: number,
  addend: number,
): FarAccess | undefined {
  const { length } = instruction;
  const offsets = decoder.getConstantOffsets(instruction);
  const isOperand = offsets.hasDisplacement && offsets.displacementOffset === field;
  const isImmediate =
    offsets.hasImmediate && offsets.immediateOffset === field && offsets.immediateSize === 4;
  offsets.free();
  if (length < JUMP || instruction.flowControl !== FlowControl.Next) return undefined;
  const isRelative = isOperand && instruction.isIpRelMemoryOperand;
  const distance = isRelative ? addend + length - field : addend;
  const place = { start, length, distance };
  if (isImmediate) return withAddress(instruction, place);
  return isOperand ? withPointer(instruction, place, isRelative) : undefined;
}

type Place = Pick<FarAccess, 'start' | 'length' | 'distance'>;

/** The address itself is the operand. */
function withAddress(instruction: Instruction, place: Place): FarAccess | undefined {
  const isRegister = instruction.op0Kind === OpKind.Register;
  if (instruction.mnemonic === Mnemonic.Mov && isRegister) {
    const register = RegisterExt.fullRegister(instruction.op0Register);
    return { ...place, ...loadAddress(register) };
  }
  const wide =
    instruction.mnemonic === Mnemonic.Mov
      ? Code.Mov_rm64_r64
      : instruction.mnemonic === Mnemonic.Cmp
        ? Code.Cmp_rm64_r64
        : undefined;
  if (wide === undefined || instruction.opCount !== 2) return undefined;
  const isWide = isRegister
    ? RegisterExt.isGPR64(instruction.op0Register)
    : WIDE_IMMEDIATE.has(instruction.code);
  const spare = spareRegister(instruction);
  if (!isWide || spare === undefined) return undefined;
  const changed = instruction.clone();
  changed.code = wide;
  changed.op1Kind = OpKind.Register;
  changed.op1Register = spare;
  return aroundSpare(place, spare, changed);
}

const WIDE_IMMEDIATE = new Set<number>([Code.Mov_rm64_imm32, Code.Cmp_rm64_imm32]);

/** The address is that of a memory operand. */
function withPointer(instruction: Instruction, place: Place, isRelative: boolean): FarAccess | undefined {
  const changed = instruction.clone();
  const target = loadedRegister(instruction);
  const pointer = target ?? spareRegister(instruction);
  if (pointer === undefined || !addRegister(changed, pointer, isRelative)) {
    changed.free();
    return undefined;
  }
  if (target === undefined) return aroundSpare(place, pointer, changed);
  const load = loadAddress(target);
  const isAddressOnly = isRelative && instruction.mnemonic === Mnemonic.Lea;
  const use = isAddressOnly ? new Uint8Array(0) : encode(changed);
  changed.free();
  return use && { ...place, code: Buffer.concat([load.code, use]), slotField: load.slotField };
}

/** Lets the memory operand start from the register instead of the field. */
function addRegister(instruction: Instruction, register: Register, isRelative: boolean): boolean {
  if (isRelative || instruction.memoryBase === Register.None) instruction.memoryBase = register;
  else if (instruction.memoryIndex === Register.None) {
    instruction.memoryIndex = register;
    instruction.memoryIndexScale = 1;
  } else return false;
  instruction.memoryDisplacement = 0n;
  instruction.memoryDisplSize = 1;
  return true;
}

const LOADS = new Set<number>([Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Movsxd, Mnemonic.Lea]);

/** The register that the instruction overwrites as a whole, if it is no part of the address. */
function loadedRegister(instruction: Instruction): Register | undefined {
  if (!LOADS.has(instruction.mnemonic) || instruction.op0Kind !== OpKind.Register) return undefined;
  const register = instruction.op0Register;
  if (!RegisterExt.isGPR32(register) && !RegisterExt.isGPR64(register)) return undefined;
  const full = RegisterExt.fullRegister(register);
  const isInAddress = [instruction.memoryBase, instruction.memoryIndex].some(
    (part) => part !== Register.None && RegisterExt.fullRegister(part) === full,
  );
  return isInAddress || full === Register.RSP ? undefined : full;
}

function spareRegister(instruction: Instruction): Register | undefined {
  const factory = new InstructionInfoFactory();
  const info = factory.info(instruction);
  const used = new Set(info.usedRegisters().map(({ register }) => RegisterExt.fullRegister(register)));
  info.free();
  factory.free();
  const isOnStack = instruction.memoryBase === Register.RSP;
  // What moves the stack pointer, or uses it otherwise than to address memory, would meet the kept register there.
  const movesStack = instruction.isStackInstruction || namesRegister(instruction, Register.RSP);
  if (movesStack || (used.has(Register.RSP) && !isOnStack)) return undefined;
  return SPARE.find((register) => !used.has(register));
}

function namesRegister(instruction: Instruction, register: Register): boolean {
  return [0, 1, 2, 3].some(
    (index) =>
      index < instruction.opCount &&
      instruction.opKind(index) === OpKind.Register &&
      RegisterExt.fullRegister(instruction.opRegister(index)) === register,
  );
}

function aroundSpare(place: Place, spare: Register, changed: Instruction): FarAccess | undefined {
  if (changed.memoryBase === Register.RSP) {
    changed.memoryDisplacement += BigInt(RED_ZONE + 8);
    changed.memoryDisplSize = 8;
  }
  const use = encode(changed);
  changed.free();
  if (use === undefined) return undefined;
  const number = RegisterExt.number(spare);
  const prefix = number >= 8 ? [0x41] : [];
  const load = loadAddress(spare);
  const before = [0x48, 0x8d, 0x64, 0x24, 0x100 - RED_ZONE, ...prefix, 0x50 | (number & 7)]; // lea -128(%rsp),%rsp; push
  const after = [...prefix, 0x58 | (number & 7), 0x48, 0x8d, 0xa4, 0x24, RED_ZONE, 0, 0, 0]; // pop; lea 128(%rsp),%rsp
  return {
    ...place,
    code: Buffer.concat([Uint8Array.from(before), load.code, use, Uint8Array.from(after)]),
    slotField: before.length + load.slotField,
  };
}

/** `mov slot(%rip),%register`. */
function loadAddress(register: Register): { code: Uint8Array; slotField: number } {
  const number = RegisterExt.number(register);
  const rex = 0x48 | (number >= 8 ? 4 : 0);
  return { code: Uint8Array.from([rex, 0x8b, 0x05 | ((number & 7) << 3), 0, 0, 0, 0]), slotField: 3 };
}

function encode(instruction: Instruction): Uint8Array | undefined {
  const encoder = new Encoder(64);
  try {
    encoder.encode(instruction, 0n);
    return encoder.takeBuffer();
  } catch {
    // No form of the instruction takes such operands.
    return undefined;
  } finally {
    encoder.free();
  }
}
