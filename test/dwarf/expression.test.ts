import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateExpression } from '../../src/dwarf/expression.js';

const REGISTERS = Array.from({ length: 17 }, (_, register) => 0x1000n * BigInt(register));
const MEMORY = new Map([[0x7000, 0x1122334455667788n]]);

function evaluate(bytes: number[], initial?: bigint): bigint | undefined {
  const context = {
    registers: REGISTERS,
    readWord: (address: number) => MEMORY.get(address),
    loadBias: 0x10_0000,
  };
  return evaluateExpression(Uint8Array.from(bytes), context, initial);
}

/** Bytes, what is on the stack first, and the result: DWARF 5, section 2.5. */
const CASES: [string, number[], bigint | undefined, bigint | undefined][] = [
  ['lit0', [0x30], undefined, 0n],
  ['lit31', [0x4f], undefined, 31n],
  ['addr is a link-time address', [0x03, 0x10, 0, 0, 0, 0, 0, 0, 0], undefined, 0x10_0010n],
  ['const1u', [0x08, 0xff], undefined, 255n],
  ['const1s', [0x09, 0xff], undefined, 0xffff_ffff_ffff_ffffn],
  ['const2u', [0x0a, 0xfe, 0xff], undefined, 0xfffen],
  ['const2s', [0x0b, 0xfe, 0xff], undefined, 0xffff_ffff_ffff_fffen],
  ['const4u', [0x0c, 0xff, 0xff, 0xff, 0xff], undefined, 0xffff_ffffn],
  ['const4s', [0x0d, 0xff, 0xff, 0xff, 0xff], undefined, 0xffff_ffff_ffff_ffffn],
  ['const8u', [0x0e, 1, 2, 3, 4, 5, 6, 7, 0x88], undefined, 0x8807_0605_0403_0201n],
  ['constu', [0x10, 0xe5, 0x8e, 0x26], undefined, 624485n],
  ['consts', [0x11, 0xc0, 0xbb, 0x78], undefined, BigInt.asUintN(64, -123456n)],
  ['breg7 with a negative offset', [0x77, 0x78], undefined, 0x6ff8n],
  ['bregx', [0x92, 16, 8], undefined, 0x1_0008n],
  ['deref', [0x06], 0x7000n, 0x1122334455667788n],
  ['deref of what is not mapped', [0x06], 0x6000n, undefined],
  ['deref_size 4', [0x94, 4], 0x7000n, 0x55667788n],
  ['plus_uconst', [0x23, 0x80, 0x01], 1n, 129n],
  ['plus wraps', [0x32, 0x22], 0xffff_ffff_ffff_ffffn, 1n],
  ['minus takes the top from the second', [0x35, 0x32, 0x1c], undefined, 3n],
  ['div is signed', [0x11, 0x79, 0x32, 0x1b], undefined, BigInt.asUintN(64, -3n)],
  ['mod is unsigned', [0x37, 0x34, 0x1d], undefined, 3n],
  ['mul', [0x37, 0x34, 0x1e], undefined, 28n],
  ['and, or, xor', [0x3f, 0x3a, 0x1a, 0x31, 0x21, 0x33, 0x27], undefined, ((15n & 10n) | 1n) ^ 3n],
  ['shl', [0x31, 0x08, 40, 0x24], undefined, 1n << 40n],
  ['shr of a negative is logical', [0x11, 0x7f, 0x08, 60, 0x25], undefined, 15n],
  ['shra of a negative keeps the sign', [0x11, 0x70, 0x32, 0x26], undefined, BigInt.asUintN(64, -4n)],
  ['abs, neg, not', [0x11, 0x7b, 0x19, 0x1f, 0x20], undefined, 4n],
  ['lt is signed', [0x11, 0x7f, 0x31, 0x2d], undefined, 1n],
  ['ge is signed', [0x11, 0x7f, 0x31, 0x2a], undefined, 0n],
  ['gt, le, eq, ne', [0x33, 0x32, 0x2b, 0x31, 0x2c, 0x31, 0x29, 0x30, 0x2e], undefined, 1n],
  ['dup and drop', [0x35, 0x12, 0x13], undefined, 5n],
  ['over', [0x35, 0x36, 0x14], undefined, 5n],
  ['pick', [0x35, 0x36, 0x37, 0x15, 2], undefined, 5n],
  ['swap', [0x35, 0x36, 0x16], undefined, 5n],
  // 7 6 5 (top) becomes 5 7 6 (top), and the swap makes it 5 6 7.
  ['rot', [0x37, 0x36, 0x35, 0x17, 0x16, 0x1c], undefined, BigInt.asUintN(64, 6n - 7n)],
  ['skip', [0x35, 0x2f, 1, 0, 0x36], undefined, 5n],
  ['bra taken', [0x35, 0x31, 0x28, 1, 0, 0x36], undefined, 5n],
  ['bra not taken', [0x35, 0x30, 0x28, 1, 0, 0x36], undefined, 6n],
  ['nop', [0x96, 0x35], undefined, 5n],
  // What linkers write for a PLT entry: rsp + 8 + ((rip & 15) >= 11) * 8.
  ['a PLT entry', [0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22], undefined, 0x7008n],
];

for (const [name, bytes, initial, expected] of CASES) {
  test(name, () => assert.equal(evaluate(bytes, initial), expected));
}

test('a register that nobody saved makes the result unknown', () => {
  const registers = REGISTERS.map((value, register) => (register === 3 ? undefined : value));
  const context = { registers, readWord: () => 0n, loadBias: 0 };
  assert.equal(evaluateExpression(Uint8Array.of(0x73, 0), context), undefined);
  assert.equal(evaluateExpression(Uint8Array.of(0x74, 0), context), 0x4000n);
});

test('malformed expressions are refused, and endless ones end', () => {
  const malformed = [
    [],
    [0x06],
    [0x22],
    [0x30, 0x15, 5],
    [0x30, 0x30, 0x1b],
    [0xff],
    [0x0c, 1],
    [0x2f, 9, 0],
  ];
  for (const bytes of malformed) {
    assert.throws(() => evaluate(bytes), { kind: 'bad-input' }, bytes.join(' '));
  }
  assert.throws(() => evaluate([0x2f, 0xfd, 0xff]), { kind: 'bad-input' });
});
