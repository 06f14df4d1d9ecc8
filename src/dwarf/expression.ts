import { AtlasError } from '../errors/atlas-error.js';
import { ByteCursor } from './byte-cursor.js';
import type { RegisterValues } from './registers.js';

/** Reads the 64-bit word at an address of the stopped thread; `undefined` where nothing is mapped. */
export type ReadWord = (address: number) => bigint | undefined;

export interface ExpressionContext {
  readonly registers: RegisterValues;
  readonly readWord: ReadWord;
  /** Added to the operand of DW_OP_addr, which is a link-time address. */
  readonly loadBias: number;
}

const U64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const I64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const truth = (value: boolean): bigint => (value ? 1n : 0n);

/** A branch may loop, and the bytes come from a file: no real expression comes near this many operations. */
const OPERATION_LIMIT = 10_000;

/** Operations that take two operands: `a` is below `b` on the stack (DWARF 5, 2.5.1.4 and 2.5.1.5). */
const BINARY: Readonly<Record<number, (a: bigint, b: bigint) => bigint>> = {
  0x1a: (a, b) => a & b, // DW_OP_and
  0x1b: (a, b) => I64(a) / I64(b), // DW_OP_div
  0x1c: (a, b) => a - b, // DW_OP_minus
  0x1d: (a, b) => a % b, // DW_OP_mod
  0x1e: (a, b) => a * b, // DW_OP_mul
  0x21: (a, b) => a | b, // DW_OP_or
  0x22: (a, b) => a + b, // DW_OP_plus
  0x24: (a, b) => (b > 63n ? 0n : a << b), // DW_OP_shl
  0x25: (a, b) => (b > 63n ? 0n : a >> b), // DW_OP_shr
  0x26: (a, b) => I64(a) >> (b > 63n ? 63n : b), // DW_OP_shra
  0x27: (a, b) => a ^ b, // DW_OP_xor
  0x29: (a, b) => truth(a === b), // DW_OP_eq
  0x2a: (a, b) => truth(I64(a) >= I64(b)), // DW_OP_ge
  0x2b: (a, b) => truth(I64(a) > I64(b)), // DW_OP_gt
  0x2c: (a, b) => truth(I64(a) <= I64(b)), // DW_OP_le
  0x2d: (a, b) => truth(I64(a) < I64(b)), // DW_OP_lt
  0x2e: (a, b) => truth(a !== b), // DW_OP_ne
};

/** Operations that push a constant. */
const CONSTANT: Readonly<Record<number, (cursor: ByteCursor) => bigint>> = {
  0x08: (cursor) => BigInt(cursor.u8()), // DW_OP_const1u
  0x09: (cursor) => BigInt(cursor.i8()), // DW_OP_const1s
  0x0a: (cursor) => BigInt(cursor.u16()), // DW_OP_const2u
  0x0b: (cursor) => BigInt(cursor.i16()), // DW_OP_const2s
  0x0c: (cursor) => BigInt(cursor.u32()), // DW_OP_const4u
  0x0d: (cursor) => BigInt(cursor.i32()), // DW_OP_const4s
  0x0e: (cursor) => cursor.u64(), // DW_OP_const8u
  0x0f: (cursor) => cursor.i64(), // DW_OP_const8s
  0x10: (cursor) => cursor.ulebWide(), // DW_OP_constu
  0x11: (cursor) => cursor.slebWide(), // DW_OP_consts
};

/** The stack of DWARF's expression machine: 64-bit words. */
class WordStack {
  readonly #words: bigint[] = [];

  push(value: bigint): void {
    this.#words.push(U64(value));
  }

  pop(): bigint {
    const value = this.#words.pop();
    if (value === undefined) throw new AtlasError('bad-input', 'DWARF expression: the stack is empty');
    return value;
  }

  /** The word `depth` places below the top. */
  peek(depth: number): bigint {
    const value = this.#words[this.#words.length - 1 - depth];
    if (value === undefined) throw new AtlasError('bad-input', 'DWARF expression: the stack is too short');
    return value;
  }
}

/**
 * Evaluates a DWARF expression of call frame information, with `initial` on the stack if given (the CFA,
 * for a register's rule). The answer is `undefined` when it depends on memory or a register that is
 * not known; a malformed expression throws.
 */
export function evaluateExpression(
  expression: Uint8Array,
  context: ExpressionContext,
  initial?: bigint,
): bigint | undefined {
  const cursor = new ByteCursor(expression);
  const stack = new WordStack();
  if (initial !== undefined) stack.push(initial);

  const pushRegister = (register: number, offset: bigint): boolean => {
    const value = context.registers[register];
    if (value !== undefined) stack.push(value + offset);
    return value !== undefined;
  };
  const pushMemory = (address: bigint, size: number): boolean => {
    const word = context.readWord(Number(address));
    if (word !== undefined) stack.push(BigInt.asUintN(size * 8, word));
    return word !== undefined;
  };

  for (let operations = 0; !cursor.atEnd; operations++) {
    if (operations === OPERATION_LIMIT) throw new AtlasError('bad-input', 'DWARF expression does not end');
    const operation = cursor.u8();

    const binary = BINARY[operation];
    if (binary) {
      const b = stack.pop();
      const a = stack.pop();
      if (b === 0n && (operation === 0x1b || operation === 0x1d)) {
        throw new AtlasError('bad-input', 'DWARF expression divides by zero');
      }
      stack.push(binary(a, b));
      continue;
    }
    const constant = CONSTANT[operation];
    if (constant) {
      stack.push(constant(cursor));
      continue;
    }
    if (operation >= 0x30 && operation <= 0x4f) {
      stack.push(BigInt(operation - 0x30)); // DW_OP_lit0 to lit31
      continue;
    }
    if (operation >= 0x70 && operation <= 0x8f) {
      if (!pushRegister(operation - 0x70, cursor.slebWide())) return undefined; // DW_OP_breg0 to breg31
      continue;
    }

    switch (operation) {
      case 0x03: // DW_OP_addr
        stack.push(cursor.u64() + BigInt(context.loadBias));
        break;
      case 0x06: // DW_OP_deref
        if (!pushMemory(stack.pop(), 8)) return undefined;
        break;
      case 0x94: // DW_OP_deref_size
        if (!pushMemory(stack.pop(), cursor.u8())) return undefined;
        break;
      case 0x12: // DW_OP_dup
        stack.push(stack.peek(0));
        break;
      case 0x13: // DW_OP_drop
        stack.pop();
        break;
      case 0x14: // DW_OP_over
        stack.push(stack.peek(1));
        break;
      case 0x15: // DW_OP_pick
        stack.push(stack.peek(cursor.u8()));
        break;
      case 0x16: {
        // DW_OP_swap
        const top = stack.pop();
        const second = stack.pop();
        stack.push(top);
        stack.push(second);
        break;
      }
      case 0x17: {
        // DW_OP_rot: the top goes below the two others
        const top = stack.pop();
        const second = stack.pop();
        const third = stack.pop();
        stack.push(top);
        stack.push(third);
        stack.push(second);
        break;
      }
      case 0x19: {
        // DW_OP_abs
        const value = I64(stack.pop());
        stack.push(value < 0n ? -value : value);
        break;
      }
      case 0x1f: // DW_OP_neg
        stack.push(-stack.pop());
        break;
      case 0x20: // DW_OP_not
        stack.push(~stack.pop());
        break;
      case 0x23: // DW_OP_plus_uconst
        stack.push(stack.pop() + cursor.ulebWide());
        break;
      case 0x28: {
        // DW_OP_bra
        const distance = cursor.i16();
        if (stack.pop() !== 0n) cursor.jump(distance);
        break;
      }
      case 0x2f: // DW_OP_skip
        cursor.jump(cursor.i16());
        break;
      case 0x92: // DW_OP_bregx
        if (!pushRegister(cursor.uleb(), cursor.slebWide())) return undefined;
        break;
      case 0x96: // DW_OP_nop
        break;
      default:
        throw new AtlasError(
          'bad-input',
          `DWARF operation 0x${operation.toString(16)} is not supported here`,
        );
    }
  }
  return stack.pop();
}
