import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameEntries } from '../../src/dwarf/frame-entries.js';
import { type UnwindRow, unwindRowAt } from '../../src/dwarf/unwind-row.js';

const SECTION = 0x1000;
const CODE = 0x9000;
/** DW_CFA_def_cfa rsp+8; DW_CFA_offset rip at CFA-8: the state at every function's entry. */
const INITIAL = [0x0c, 7, 8, 0x90, 1];

function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** The address as a four-byte value relative to where it stands (DW_EH_PE_pcrel | DW_EH_PE_sdata4). */
function relative(address: number, fieldAddress: number): number[] {
  return u32((address - fieldAddress) >>> 0);
}

interface Shape {
  /** Augmentation string, its data after the length, and the augmentation data of the FDE. */
  augmentation?: [string, number[], number[]];
  version?: number;
}

/** An .eh_frame section with one CIE (CFA rsp+8, return address at CFA-8) and one FDE for 256 bytes. */
function section(instructions: number[], shape: Shape = {}): Uint8Array {
  const [letters, data, fdeData] = shape.augmentation ?? ['zR', [0x1b], []];
  const cieBody = [
    ...u32(0),
    shape.version ?? 1,
    ...new TextEncoder().encode(letters),
    0,
    1,
    0x78, // data alignment -8
    16,
    data.length,
    ...data,
    ...INITIAL,
  ];
  const cie = [...u32(cieBody.length), ...cieBody];
  const fdeOffset = cie.length;
  const fdeBody = [
    ...u32(fdeOffset + 4),
    ...relative(CODE, SECTION + fdeOffset + 8),
    ...u32(256),
    fdeData.length,
    ...fdeData,
    ...instructions,
  ];
  return Uint8Array.from([...cie, ...u32(fdeBody.length), ...fdeBody, ...u32(0)]);
}

function rowAt(offset: number, instructions: number[], shape?: Shape): UnwindRow {
  const entries = [...new FrameEntries({ bytes: section(instructions, shape), address: SECTION }).all()];
  assert.equal(entries.length, 1);
  assert.deepEqual([entries[0]!.start, entries[0]!.end], [CODE, CODE + 256]);
  return unwindRowAt(entries[0]!, CODE + offset);
}

/** The row in short: the CFA, and the rules that differ from the initial one. */
function summary(row: UnwindRow): string {
  const cfa = row.cfa.kind === 'register' ? `${row.cfa.register}+${row.cfa.offset}` : row.cfa.kind;
  const rules = [...row.rules]
    .filter(([register]) => register !== 16)
    .map(([register, rule]) => {
      const operand =
        'offset' in rule ? rule.offset : 'register' in rule ? rule.register : 'expression' in rule ? 'e' : '';
      return `${register}:${rule.kind}${operand === '' ? '' : ` ${operand}`}`;
    });
  return [cfa, ...rules].join(', ');
}

const CASES: [string, number[], number, string][] = [
  ['advance_loc holds from its address on', [0x44, 0x0e, 16], 4, '7+16'],
  ['and not before', [0x44, 0x0e, 16], 3, '7+8'],
  ['advance_loc1', [0x02, 200, 0x0e, 16], 200, '7+16'],
  ['advance_loc2', [0x03, 200, 0, 0x0e, 16], 199, '7+8'],
  ['advance_loc4', [0x04, 200, 0, 0, 0, 0x0e, 16], 200, '7+16'],
  ['offset and restore without an initial rule', [0x83, 2, 0x86, 3, 0xc3], 0, '7+8, 6:offset -24'],
  ['offset_extended, restore_extended', [0x05, 12, 2, 0x05, 13, 3, 0x06, 12], 0, '7+8, 13:offset -24'],
  ['undefined, same_value', [0x07, 0, 0x08, 3], 0, '7+8, 0:undefined, 3:same'],
  ['register', [0x09, 7, 9], 0, '7+8, 7:register 9'],
  [
    'remember_state and restore_state include the CFA',
    [0x0e, 16, 0x83, 2, 0x0a, 0x0c, 6, 32, 0x86, 4, 0x0b],
    0,
    '7+16, 3:offset -16',
  ],
  ['remembered states nest', [0x0a, 0x0e, 16, 0x0a, 0x0e, 24, 0x0b, 0x41, 0x0b, 0x41, 0x0e, 99], 1, '7+8'],
  ['def_cfa_register keeps the offset', [0x0e, 16, 0x0d, 6], 0, '6+16'],
  ['def_cfa_sf and def_cfa_offset_sf are factored', [0x12, 6, 0x7e, 0x13, 0x7d], 0, '6+24'],
  ['def_cfa_expression', [0x0f, 2, 0x77, 8], 0, 'expression'],
  [
    'expression, val_expression',
    [0x10, 3, 1, 0x30, 0x16, 6, 1, 0x30],
    0,
    '7+8, 3:expression e, 6:value-expression e',
  ],
  ['offset_extended_sf', [0x11, 3, 0x7e], 0, '7+8, 3:offset 16'],
  ['val_offset, val_offset_sf', [0x14, 3, 2, 0x15, 6, 0x7e], 0, '7+8, 3:value-offset -16, 6:value-offset 16'],
  ['GNU_args_size changes nothing', [0x2e, 32, 0x0e, 16], 0, '7+16'],
  ['GNU_negative_offset_extended', [0x2f, 3, 2], 0, '7+8, 3:offset 16'],
];

for (const [name, instructions, offset, expected] of CASES) {
  test(name, () => assert.equal(summary(rowAt(offset, instructions)), expected));
}

test('personality, language data and version 3 are stepped over', () => {
  const personality: Shape = {
    augmentation: ['zPLR', [0x9b, 1, 2, 3, 4, 0x1b, 0x1b], [9, 9, 9, 9]],
    version: 3,
  };
  assert.equal(summary(rowAt(4, [0x44, 0x0e, 16], personality)), '7+16');
});

test('an unknown instruction or augmentation is refused', () => {
  assert.throws(() => rowAt(0, [0x3d]), { kind: 'bad-input' });
  assert.throws(() => rowAt(0, [0x0b]), { kind: 'bad-input' });
  assert.throws(() => rowAt(0, [0x0f, 1, 0x30, 0x0e, 8]), { kind: 'bad-input' });
  assert.throws(() => rowAt(0, [], { augmentation: ['zXR', [0, 0x1b], []] }), { kind: 'bad-input' });
  assert.throws(() => rowAt(0, [], { version: 9 }), { kind: 'bad-input' });
});
