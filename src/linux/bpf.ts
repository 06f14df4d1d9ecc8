/**
 * An assembler for seccomp's classic BPF programs (linux/filter.h, linux/seccomp.h).
 *
 * One instruction is `struct sock_filter`, 8 bytes:
 *
 *     0        2    3    4            8
 *     +--------+----+----+------------+
 *     | code   | jt | jf | k          |
 *     +--------+----+----+------------+
 *
 * `jt` and `jf` count instructions to skip, forwards only, and are 8 bits wide; only `ja` reaches further, with its
 * 32-bit `k`. The assembler widens a conditional jump that does not reach by placing `ja` right behind it.
 */
import { AtlasError } from '../errors/atlas-error.js';

export const INSTRUCTION_SIZE = 8;

/** BPF_MAXINSNS: the kernel takes no longer program. */
export const MAX_INSTRUCTIONS = 4096;

/** Codes of the instructions that seccomp knows and we use: class | size or operation | mode or source. */
export const BpfCode = {
  loadWord: 0x20, // BPF_LD | BPF_W | BPF_ABS
  loadConstant: 0x00, // BPF_LD | BPF_IMM
  andConstant: 0x54, // BPF_ALU | BPF_AND | BPF_K
  jump: 0x05, // BPF_JMP | BPF_JA
  jumpIfEqual: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
  jumpIfGreater: 0x25, // BPF_JMP | BPF_JGT | BPF_K
  jumpIfGreaterOrEqual: 0x35, // BPF_JMP | BPF_JGE | BPF_K
  jumpIfAnySet: 0x45, // BPF_JMP | BPF_JSET | BPF_K
  returnConstant: 0x06, // BPF_RET | BPF_K
  returnAccumulator: 0x16, // BPF_RET | BPF_A
  accumulatorToIndex: 0x07, // BPF_MISC | BPF_TAX
  indexToAccumulator: 0x87, // BPF_MISC | BPF_TXA
} as const;

/** Offsets in `struct seccomp_data`. BPF loads 32 bits at a time; x86 keeps the low half first. */
export const SeccompData = {
  number: 0,
  architecture: 4,
  instructionPointerLow: 8,
  instructionPointerHigh: 12,
  argumentLow: (index: number): number => 16 + 8 * index,
  argumentHigh: (index: number): number => 20 + 8 * index,
  size: 64,
} as const;

/** AUDIT_ARCH_X86_64: EM_X86_64 | 64-bit | little-endian. */
export const AUDIT_ARCH_X86_64 = 0xc000003e;

/** A filter's verdict: the action in the upper 16 bits, its data in the lower. */
export type Verdict = number;

export const SECCOMP_RET_ALLOW: Verdict = 0x7fff0000;
export const SECCOMP_RET_TRACE: Verdict = 0x7ff00000;
export const SECCOMP_RET_ERRNO: Verdict = 0x00050000;

/** The call fails with `errno` and is not executed. */
export function failWith(errno: number): Verdict {
  return (SECCOMP_RET_ERRNO | errno) >>> 0;
}

/** A place in the program, to be jumped to before it is placed: BPF has no backward jumps. */
export interface Label {
  readonly name: string;
}

/** `next` continues with the instruction that follows. */
export type Target = Label | 'next';

export type Condition = 'equal' | 'greater' | 'greaterOrEqual' | 'anySet';

const CONDITION_CODE: Record<Condition, number> = {
  equal: BpfCode.jumpIfEqual,
  greater: BpfCode.jumpIfGreater,
  greaterOrEqual: BpfCode.jumpIfGreaterOrEqual,
  anySet: BpfCode.jumpIfAnySet,
};

type Item =
  | { kind: 'plain'; code: number; k: number }
  | { kind: 'label'; label: Label }
  | { kind: 'jump'; target: Label }
  | {
      kind: 'branch';
      code: number;
      k: number;
      ifTrue: Target;
      ifFalse: Target;
      farTrue: boolean;
      farFalse: boolean;
    };

function sizeOf(item: Item): number {
  if (item.kind === 'label') return 0;
  if (item.kind === 'branch') return 1 + Number(item.farTrue) + Number(item.farFalse);
  return 1;
}

export class BpfAssembler {
  private readonly items: Item[] = [];

  label(name: string): Label {
    return { name };
  }

  place(label: Label): this {
    this.items.push({ kind: 'label', label });
    return this;
  }

  /** Loads the 32-bit word at an offset of `struct seccomp_data` into the accumulator. */
  load(offset: number): this {
    return this.plain(BpfCode.loadWord, offset);
  }

  loadConstant(value: number): this {
    return this.plain(BpfCode.loadConstant, value);
  }

  and(mask: number): this {
    return this.plain(BpfCode.andConstant, mask);
  }

  return(verdict: Verdict): this {
    return this.plain(BpfCode.returnConstant, verdict);
  }

  /** Copies the accumulator to the index register; `takeKept` copies it back, and `returnKept` returns it. */
  keepAccumulator(): this {
    return this.plain(BpfCode.accumulatorToIndex, 0);
  }

  takeKept(): this {
    return this.plain(BpfCode.indexToAccumulator, 0);
  }

  returnKept(): this {
    return this.takeKept().plain(BpfCode.returnAccumulator, 0);
  }

  jump(target: Label): this {
    this.items.push({ kind: 'jump', target });
    return this;
  }

  /** Compares the accumulator, unsigned, with `k`. */
  branch(condition: Condition, k: number, ifTrue: Target, ifFalse: Target): this {
    this.items.push({
      kind: 'branch',
      code: CONDITION_CODE[condition],
      k,
      ifTrue,
      ifFalse,
      farTrue: false,
      farFalse: false,
    });
    return this;
  }

  /** The program as an array of `struct sock_filter`. */
  assemble(): Uint8Array {
    let addresses = this.layOut();
    while (this.widenBranches(addresses)) addresses = this.layOut();
    return this.encode(addresses);
  }

  private plain(code: number, k: number): this {
    this.items.push({ kind: 'plain', code, k });
    return this;
  }

  private layOut(): Map<Label, number> {
    const addresses = new Map<Label, number>();
    let at = 0;
    for (const item of this.items) {
      if (item.kind === 'label') addresses.set(item.label, at);
      at += sizeOf(item);
    }
    if (at > MAX_INSTRUCTIONS) {
      throw new AtlasError('internal', `a BPF program of ${at} instructions exceeds ${MAX_INSTRUCTIONS}`);
    }
    return addresses;
  }

  /** Widening one branch moves what follows, so that another may stop reaching: repeat until nothing changes. */
  private widenBranches(addresses: Map<Label, number>): boolean {
    let changed = false;
    let at = 0;
    for (const item of this.items) {
      const size = sizeOf(item);
      if (item.kind === 'branch') {
        if (!item.farTrue && distance(item.ifTrue, at + 1, at + size, addresses) > 0xff) {
          item.farTrue = true;
          changed = true;
        }
        if (!item.farFalse && distance(item.ifFalse, at + 1, at + size, addresses) > 0xff) {
          item.farFalse = true;
          changed = true;
        }
      }
      at += size;
    }
    return changed;
  }

  private encode(addresses: Map<Label, number>): Uint8Array {
    const program = new DataView(
      new ArrayBuffer(this.items.reduce((sum, item) => sum + sizeOf(item), 0) * 8),
    );
    let at = 0;
    const emit = (code: number, jt: number, jf: number, k: number): void => {
      program.setUint16(at * INSTRUCTION_SIZE, code, true);
      program.setUint8(at * INSTRUCTION_SIZE + 2, jt);
      program.setUint8(at * INSTRUCTION_SIZE + 3, jf);
      program.setUint32(at * INSTRUCTION_SIZE + 4, k, true);
      at++;
    };
    for (const item of this.items) {
      const end = at + sizeOf(item);
      if (item.kind === 'plain') emit(item.code, 0, 0, item.k);
      if (item.kind === 'jump') emit(BpfCode.jump, 0, 0, distance(item.target, at + 1, end, addresses));
      if (item.kind === 'branch') {
        const behind = at + 1;
        const jt = item.farTrue ? 0 : distance(item.ifTrue, behind, end, addresses);
        const jf = item.farFalse ? Number(item.farTrue) : distance(item.ifFalse, behind, end, addresses);
        emit(item.code, jt, jf, item.k);
        if (item.farTrue) emit(BpfCode.jump, 0, 0, distance(item.ifTrue, at + 1, end, addresses));
        if (item.farFalse) emit(BpfCode.jump, 0, 0, distance(item.ifFalse, at + 1, end, addresses));
      }
    }
    return new Uint8Array(program.buffer);
  }
}

/** How many instructions lie between `from` and the target; `end` is where the present item ends. */
function distance(target: Target, from: number, end: number, addresses: Map<Label, number>): number {
  const address = target === 'next' ? end : addresses.get(target);
  if (address === undefined) {
    throw new AtlasError('internal', `the BPF label "${(target as Label).name}" was never placed`);
  }
  if (address < from) {
    throw new AtlasError('internal', `the BPF label "${(target as Label).name}" lies behind a jump to it`);
  }
  return address - from;
}
