/** The code that a call site leads to, disassembled. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { findCallSites } from '../../src/x64/call-sites.js';
import { assembleGate } from '../../src/x64/gate.js';
import { assembleSlot, siteJump, SLOT_SIZE } from '../../src/x64/islands.js';

const SLOT = 0x7f00_0010_0040;
const ADDRESS = 0x7f00_0000_1234;
const CALL_AT = '7F0000001239h';
const gate = assembleGate(1000);

function disassemble(code: Uint8Array, at: number): string[] {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  decoder.ip = BigInt(at);
  const formatter = new Formatter(FormatterSyntax.Intel);
  const lines = decoder.decodeAll().map((instruction) => formatter.format(instruction));
  formatter.free();
  decoder.free();
  return lines;
}

function slotOf(hex: string): string[] {
  const [site] = findCallSites(Buffer.from(hex, 'hex'));
  const code = assembleSlot(SLOT, site!, ADDRESS, gate);
  assert.ok(code.length <= SLOT_SIZE);
  return disassemble(code, SLOT);
}

describe('islands', () => {
  it('futex: the private flag goes, and the call is made at the site', () => {
    assert.deepEqual(slotOf('b8ca0000000f05'), [
      'and rsi,0FFFFFFFFFFFFFF7Fh',
      'mov eax,0CAh',
      `jmp 0000${CALL_AT}`,
    ]);
  });

  it('futex: what stands between is done before', () => {
    assert.deepEqual(slotOf('b8ca0000004080f6810f05'), [
      'xor sil,81h',
      'and rsi,0FFFFFFFFFFFFFF7Fh',
      'mov eax,0CAh',
      'jmp 00007F000000123Dh',
    ]);
  });

  it('syscall(2): only futex is touched', () => {
    const [load, compare, unless, clear, back] = slotOf('4889f84889f74889d64889ca4d89c24d89c84c8b4c24080f05');
    assert.equal(load, 'mov r9,[rsp+8]');
    assert.equal(compare, 'cmp rax,0CAh');
    assert.equal(unless, `jne 0000${CALL_AT}`);
    assert.equal(clear, 'and rsi,0FFFFFFFFFFFFFF7Fh');
    assert.equal(back, `jmp 0000${CALL_AT}`);
  });

  it('munmap: to the gate, with the way back in rcx, unless its frame is in the range', () => {
    const lines = slotOf('b80b0000000f05');
    assert.deepEqual(lines.slice(0, 7), [
      'cmp rdi,rsp',
      'jae 00007F0000100064h',
      'lea rcx,[rdi+rsi+200h]',
      'cmp rsp,rcx',
      'jae 00007F0000100064h',
      'mov eax,0Bh',
      `jmp 0000${CALL_AT}`,
    ]);
    assert.equal(lines[7], 'lea rcx,[7F000000123Bh]');
    assert.match(lines[8]!, /^jmp qword ptr \[7F0000100071h\]/);
  });

  it('every memory call leads to its routine of the gate', () => {
    for (const nr of [9, 10, 11, 12, 28]) {
      const hex = `b8${nr.toString(16).padStart(2, '0')}0000000f05`;
      const [site] = findCallSites(Buffer.from(hex, 'hex'));
      const code = assembleSlot(SLOT, site!, ADDRESS, gate);
      const target = new DataView(code.buffer).getBigUint64(code.length - 8, true);
      assert.equal(Number(target), gate.routines.get(nr));
    }
  });

  it('the jump takes the place of five bytes', () => {
    const jump = siteJump(ADDRESS, SLOT);
    assert.equal(jump.length, 5);
    assert.deepEqual(disassemble(jump, ADDRESS), ['jmp 00007F0000100040h']);
  });
});
