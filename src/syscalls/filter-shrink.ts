/**
 * Makes room in a program's seccomp filter that has nearly as many instructions as the kernel takes: what its verdict
 * does not depend on is left out. BPF jumps forwards only, so one pass from the end knows what is still needed of the
 * registers at each instruction. A branch only ever gets shorter, and always reaches.
 */
import { BpfCode, INSTRUCTION_SIZE, SeccompData } from '../linux/bpf.js';

/** linux/bpf_common.h: class, addressing mode, operation, source operand. */
const CLASS = 0x07;
const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU = 0x04;
const JMP = 0x05;
const RET = 0x06;
const MODE = 0xe0;
const MEM = 0x60;
const DIV = 0x30;
const LSH = 0x60;
const RSH = 0x70;
const NEG = 0x84;
const SOURCE_X = 0x08;
const TAX = 0x07;

/** All that seccomp takes (kernel/seccomp.c, seccomp_check_filter): every operation but the remainder. */
const OPERATIONS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0].flatMap((operation) => [
  ALU | operation,
  ALU | operation | SOURCE_X,
]);
const BRANCHES = [0x15, 0x25, 0x35, 0x45].flatMap((code) => [code, code | SOURCE_X]);
const KNOWN: ReadonlySet<number> = new Set([
  0x20, 0x80, 0x00, 0x60, 0x81, 0x01, 0x61, 0x02, 0x03, 0x06, 0x16, 0x05, 0x07, 0x87, NEG, ...OPERATIONS, ...BRANCHES,
]); // biome-ignore format: one row

const CELLS = 16;
/** What is needed later, as a set: the accumulator, the index register, and above them the cells of memory. */
const A = 1;
const X = 2;
const cell = (index: number): number => 4 << index;

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

function decode(filter: Uint8Array): Instruction[] {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  return Array.from({ length: filter.length / INSTRUCTION_SIZE }, (_, index) => {
    const at = index * INSTRUCTION_SIZE;
    return {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
  });
}

function encode(program: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * INSTRUCTION_SIZE));
  for (const [index, { code, jt, jf, k }] of program.entries()) {
    const at = index * INSTRUCTION_SIZE;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}

const isBranch = ({ code }: Instruction): boolean => (code & CLASS) === JMP && code !== BpfCode.jump;
const isReturn = ({ code }: Instruction): boolean => (code & CLASS) === RET;

/**
 * Whether all jumps stay inside and a return ends the filter (net/core/filter.c, bpf_check_classic). A filter that is
 * not so must not be added to: what is added could make it so.
 */
export function isClosed(filter: Uint8Array): boolean {
  const program = decode(filter);
  const inside = program.every((instruction, at) => {
    if (instruction.code === BpfCode.jump) return instruction.k < program.length - at - 1;
    return !isBranch(instruction) || at + 1 + Math.max(instruction.jt, instruction.jf) < program.length;
  });
  const last = program.at(-1)?.code;
  return inside && (last === BpfCode.returnConstant || last === BpfCode.returnAccumulator);
}

/** Whether the kernel takes a closed filter; what is left out of one that it refuses might be the reason. */
export function isAccepted(filter: Uint8Array): boolean {
  const program = decode(filter);
  const wellFormed = program.every(({ code, k }) => {
    if (!KNOWN.has(code)) return false;
    if (code === BpfCode.loadWord) return k < SeccompData.size && k % 4 === 0;
    if ((code & CLASS) === ST || (code & CLASS) === STX || isCellLoad(code)) return k < CELLS;
    if (code === (ALU | DIV)) return k !== 0;
    return (code !== (ALU | LSH) && code !== (ALU | RSH)) || k < 32;
  });
  return wellFormed && readsOnlyWhatWasStored(program);
}

const isCellLoad = (code: number): boolean =>
  ((code & CLASS) === LD || (code & CLASS) === LDX) && (code & MODE) === MEM;

/** check_load_and_stores of net/core/filter.c. */
function readsOnlyWhatWasStored(program: readonly Instruction[]): boolean {
  const all = 2 ** CELLS - 1;
  const atTarget = new Uint32Array(program.length).fill(all);
  let stored = 0;
  for (const [at, instruction] of program.entries()) {
    const { code, jt, jf, k } = instruction;
    stored &= atTarget[at]!;
    if ((code & CLASS) === ST || (code & CLASS) === STX) stored |= 1 << k;
    else if (isCellLoad(code) && !(stored & (1 << k))) return false;
    else if ((code & CLASS) === JMP) {
      for (const distance of code === BpfCode.jump ? [k] : [jt, jf]) atTarget[at + 1 + distance]! &= stored;
      stored = all;
    }
  }
  return true;
}

/** @param filter one that the kernel accepts; @returns one that comes to the same verdicts, perhaps shorter */
export function shrink(filter: Uint8Array): Uint8Array {
  let program = decode(filter);
  for (let length = 0; length !== program.length; ) {
    length = program.length;
    joinReturns(program);
    program = withoutNeedless(program);
  }
  // The kernel's check of cells goes on behind a return as if that were passed: it may refuse what is right.
  return readsOnlyWhatWasStored(program) ? encode(program) : filter;
}

/** Jumps that lead to a return go to the farthest of its kind that they reach, so that others are not needed. */
function joinReturns(program: Instruction[]): void {
  const places = new Map<string, number[]>();
  const kind = ({ code, k }: Instruction): string => (code === BpfCode.returnConstant ? `${k}` : 'A');
  for (const [at, instruction] of program.entries()) {
    if (!isReturn(instruction)) continue;
    const known = places.get(kind(instruction));
    if (known) known.push(at);
    else places.set(kind(instruction), [at]);
  }
  const destination = (from: number): number => {
    let at = from;
    while (program[at]!.code === BpfCode.jump) at += 1 + program[at]!.k;
    return at;
  };
  for (const [at, instruction] of program.entries()) {
    if (instruction.code === BpfCode.jump) {
      const end = program[destination(at)]!;
      if (isReturn(end)) instruction.k = places.get(kind(end))!.at(-1)! - at - 1;
    } else if (isBranch(instruction)) {
      for (const side of ['jt', 'jf'] as const) {
        const end = program[destination(at + 1 + instruction[side])]!;
        if (!isReturn(end)) continue;
        const farthest = lastUpTo(places.get(kind(end))!, at + 0x100);
        if (farthest !== undefined && farthest > at) instruction[side] = farthest - at - 1;
      }
    }
  }
}

/** The greatest of ascending numbers that is not above `limit`. */
function lastUpTo(ascending: readonly number[], limit: number): number | undefined {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return ascending[low - 1];
}

/** Where a jump leads, as places in the program; none for a return. */
function successors(instruction: Instruction, at: number): number[] {
  if (isReturn(instruction)) return [];
  if (instruction.code === BpfCode.jump) return [at + 1 + instruction.k];
  if (isBranch(instruction)) return [at + 1 + instruction.jt, at + 1 + instruction.jf];
  return [at + 1];
}

function withoutNeedless(program: readonly Instruction[]): Instruction[] {
  const reached = new Uint8Array(program.length);
  reached[0] = 1;
  for (const [at, instruction] of program.entries()) {
    if (reached[at]) for (const next of successors(instruction, at)) reached[next] = 1;
  }
  // From the end: what is needed before each instruction, and the first one at or behind each place that stays.
  const needed = new Uint32Array(program.length);
  const staying = new Uint32Array(program.length + 1).fill(program.length);
  for (let at = program.length - 1; at >= 0; at--) {
    const instruction = program[at]!;
    const next = successors(instruction, at);
    const later = next.reduce((sum, place) => sum | needed[place]!, 0);
    const jumpsNowhere =
      (instruction.code & CLASS) === JMP && next.every((place) => staying[place] === staying[at + 1]);
    const stays = reached[at] === 1 && !jumpsNowhere && hasEffect(instruction, later);
    needed[at] = stays ? neededBefore(instruction, later) : later;
    staying[at] = stays ? at : staying[at + 1]!;
  }
  const place = new Uint32Array(program.length);
  let count = 0;
  for (let at = 0; at < program.length; at++) if (staying[at] === at) place[at] = count++;
  const result: Instruction[] = [];
  for (const [at, { code, k }] of program.entries()) {
    if (staying[at] !== at) continue;
    const distances = successors(program[at]!, at).map((next) => place[staying[next]!]! - place[at]! - 1);
    if (code === BpfCode.jump) result.push({ code, jt: 0, jf: 0, k: distances[0]! });
    else if (distances.length === 2) result.push({ code, jt: distances[0]!, jf: distances[1]!, k });
    else result.push({ code, jt: 0, jf: 0, k });
  }
  return result;
}

/** What an instruction writes, as a set like `needed`. */
function written({ code, k }: Instruction): number {
  switch (code & CLASS) {
    case LD:
    case ALU:
      return A;
    case LDX:
      return X;
    case ST:
    case STX:
      return cell(k);
    default:
      // Jumps and returns write nothing; TAX and TXA are what is left.
      return (code & CLASS) === TAX ? (code === BpfCode.accumulatorToIndex ? X : A) : 0;
  }
}

function hasEffect(instruction: Instruction, later: number): boolean {
  const { code } = instruction;
  if ((code & CLASS) === JMP || isReturn(instruction)) return true;
  // A division by an index register of zero ends the filter.
  if (code === (ALU | DIV | SOURCE_X)) return true;
  return (written(instruction) & later) !== 0;
}

function neededBefore(instruction: Instruction, later: number): number {
  const { code, k } = instruction;
  const others = later & ~written(instruction);
  switch (code & CLASS) {
    case LD:
    case LDX:
      return isCellLoad(code) ? others | cell(k) : others;
    case ST:
      return others | A;
    case STX:
      return others | X;
    case ALU:
      return others | A | (code !== NEG && code & SOURCE_X ? X : 0);
    case JMP:
      if (code === BpfCode.jump) return later;
      return later | A | (code & SOURCE_X ? X : 0);
    case RET:
      return code === BpfCode.returnAccumulator ? A : 0;
    default:
      return others | (code === BpfCode.accumulatorToIndex ? A : X);
  }
}
