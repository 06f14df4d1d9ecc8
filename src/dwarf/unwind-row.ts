import { AtlasError } from '../errors/atlas-error.js';
import { ByteCursor } from './byte-cursor.js';
import type { CommonEntry, FrameEntry } from './frame-entries.js';
import type { LocatedBytes } from './frame-sections.js';
import { readEncodedPointer } from './pointer-encoding.js';

/** How the canonical frame address (the caller's stack pointer) is computed. */
export type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: number }
  | { readonly kind: 'expression'; readonly expression: Uint8Array };

/** Where the caller's value of a register is (DWARF 5, 6.4.1). No rule means the same as `same`. */
export type RegisterRule =
  | { readonly kind: 'undefined' }
  | { readonly kind: 'same' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'value-offset'; readonly offset: number }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'expression'; readonly expression: Uint8Array }
  | { readonly kind: 'value-expression'; readonly expression: Uint8Array };

/** The row of the call frame table that holds at one instruction. */
export interface UnwindRow {
  readonly cfa: CfaRule;
  readonly rules: ReadonlyMap<number, RegisterRule>;
}

/** The row at `address` (link-time, inside the entry): runs both programs as far as that address. */
export function unwindRowAt(entry: FrameEntry, address: number): UnwindRow {
  const program = new CallFrameProgram(entry.common, entry.start);
  program.run(entry.common.instructions, address);
  program.rememberInitialRules();
  program.run(entry.instructions, address);
  return program.row();
}

/** The machine that call frame instructions drive: DWARF 5, 6.4.2 and 7.24, and the GNU extensions. */
class CallFrameProgram {
  readonly #common: CommonEntry;
  #location: number;
  #cfa: CfaRule | undefined;
  #rules = new Map<number, RegisterRule>();
  #initialRules: ReadonlyMap<number, RegisterRule> = new Map();
  readonly #remembered: { cfa: CfaRule | undefined; rules: Map<number, RegisterRule> }[] = [];

  constructor(common: CommonEntry, location: number) {
    this.#common = common;
    this.#location = location;
  }

  rememberInitialRules(): void {
    this.#initialRules = new Map(this.#rules);
  }

  row(): UnwindRow {
    if (this.#cfa === undefined) throw new AtlasError('bad-input', 'call frame information defines no CFA');
    return { cfa: this.#cfa, rules: this.#rules };
  }

  run(instructions: LocatedBytes, stopAfter: number): void {
    const cursor = new ByteCursor(instructions.bytes);
    while (!cursor.atEnd) {
      const opcode = cursor.u8();
      const operand = opcode & 0x3f;
      switch (opcode & 0xc0) {
        case 0x40: // DW_CFA_advance_loc
          this.#location += operand * this.#common.codeAlignment;
          break;
        case 0x80: // DW_CFA_offset
          this.#setOffset(operand, cursor.uleb());
          break;
        case 0xc0: // DW_CFA_restore
          this.#restore(operand);
          break;
        default:
          this.#extended(opcode, cursor, instructions.address);
      }
      if (this.#location > stopAfter) return;
    }
  }

  #extended(opcode: number, cursor: ByteCursor, cursorAddress: number): void {
    const { codeAlignment, dataAlignment, pointerEncoding } = this.#common;
    switch (opcode) {
      case 0x00: // DW_CFA_nop
        break;
      case 0x01: // DW_CFA_set_loc
        this.#location = readEncodedPointer(cursor, pointerEncoding, { cursorAddress });
        break;
      case 0x02: // DW_CFA_advance_loc1
        this.#location += cursor.u8() * codeAlignment;
        break;
      case 0x03: // DW_CFA_advance_loc2
        this.#location += cursor.u16() * codeAlignment;
        break;
      case 0x04: // DW_CFA_advance_loc4
        this.#location += cursor.u32() * codeAlignment;
        break;
      case 0x05: // DW_CFA_offset_extended
        this.#setOffset(cursor.uleb(), cursor.uleb());
        break;
      case 0x06: // DW_CFA_restore_extended
        this.#restore(cursor.uleb());
        break;
      case 0x07: // DW_CFA_undefined
        this.#rules.set(cursor.uleb(), { kind: 'undefined' });
        break;
      case 0x08: // DW_CFA_same_value
        this.#rules.set(cursor.uleb(), { kind: 'same' });
        break;
      case 0x09: // DW_CFA_register
        this.#rules.set(cursor.uleb(), { kind: 'register', register: cursor.uleb() });
        break;
      case 0x0a: // DW_CFA_remember_state
        this.#remembered.push({ cfa: this.#cfa, rules: new Map(this.#rules) });
        break;
      case 0x0b: {
        // DW_CFA_restore_state: the CFA is part of the row, so it comes back too.
        const state = this.#remembered.pop();
        if (state === undefined) throw new AtlasError('bad-input', 'DW_CFA_restore_state without a state');
        this.#cfa = state.cfa;
        this.#rules = state.rules;
        break;
      }
      case 0x0c: // DW_CFA_def_cfa
        this.#cfa = { kind: 'register', register: cursor.uleb(), offset: cursor.uleb() };
        break;
      case 0x0d: // DW_CFA_def_cfa_register
        this.#cfa = { kind: 'register', register: cursor.uleb(), offset: this.#registerCfa().offset };
        break;
      case 0x0e: // DW_CFA_def_cfa_offset
        this.#cfa = { kind: 'register', register: this.#registerCfa().register, offset: cursor.uleb() };
        break;
      case 0x0f: // DW_CFA_def_cfa_expression
        this.#cfa = { kind: 'expression', expression: readBlock(cursor) };
        break;
      case 0x10: // DW_CFA_expression
        this.#rules.set(cursor.uleb(), { kind: 'expression', expression: readBlock(cursor) });
        break;
      case 0x11: // DW_CFA_offset_extended_sf
        this.#setOffset(cursor.uleb(), cursor.sleb());
        break;
      case 0x12: // DW_CFA_def_cfa_sf
        this.#cfa = { kind: 'register', register: cursor.uleb(), offset: cursor.sleb() * dataAlignment };
        break;
      case 0x13: // DW_CFA_def_cfa_offset_sf
        this.#cfa = {
          kind: 'register',
          register: this.#registerCfa().register,
          offset: cursor.sleb() * dataAlignment,
        };
        break;
      case 0x14: // DW_CFA_val_offset
        this.#rules.set(cursor.uleb(), { kind: 'value-offset', offset: cursor.uleb() * dataAlignment });
        break;
      case 0x15: // DW_CFA_val_offset_sf
        this.#rules.set(cursor.uleb(), { kind: 'value-offset', offset: cursor.sleb() * dataAlignment });
        break;
      case 0x16: // DW_CFA_val_expression
        this.#rules.set(cursor.uleb(), { kind: 'value-expression', expression: readBlock(cursor) });
        break;
      case 0x2e: // DW_CFA_GNU_args_size: matters only to who enters a landing pad
        cursor.uleb();
        break;
      case 0x2f: // DW_CFA_GNU_negative_offset_extended
        this.#setOffset(cursor.uleb(), -cursor.uleb());
        break;
      default:
        throw new AtlasError('bad-input', `unknown call frame instruction 0x${opcode.toString(16)}`);
    }
  }

  #setOffset(register: number, factored: number): void {
    this.#rules.set(register, { kind: 'offset', offset: factored * this.#common.dataAlignment });
  }

  #restore(register: number): void {
    const initial = this.#initialRules.get(register);
    if (initial === undefined) this.#rules.delete(register);
    else this.#rules.set(register, initial);
  }

  #registerCfa(): { register: number; offset: number } {
    if (this.#cfa?.kind === 'register') return this.#cfa;
    throw new AtlasError('bad-input', 'a call frame instruction changes a CFA that is not a register rule');
  }
}

function readBlock(cursor: ByteCursor): Uint8Array {
  return cursor.take(cursor.uleb());
}
