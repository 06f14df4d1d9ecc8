/** Which bytes of a text are taken for a call site, and which are not. */
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { Code, Decoder, DecoderOptions, Instruction } from 'iced-x86';
import { readFileSync } from 'node:fs';
import { readMaps } from '../../src/linux/proc.js';
import { findCallSites } from '../../src/x64/call-sites.js';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const found = (hex: string): [number, number | undefined, number][] =>
  findCallSites(bytes(hex)).map(({ offset, nr, code }) => [offset, nr, code.length]);

describe('call sites', () => {
  const sites: [what: string, hex: string, expected: [number, number | undefined, number]][] = [
    ['futex', '31d2 b8ca000000 0f05', [2, 202, 5]],
    ['munmap', '31d2 b80b000000 0f05', [2, 11, 5]],
    ['lll_lock_wait', 'ba02000000 b8ca000000 4080f680 0f05', [5, 202, 9]],
    ['rwlock', '31f6 b8ca000000 4585c0 400f95c6 4531d2 c1e607 4080f681 0f05', [2, 202, 22]],
    ['syscall(2)', '4889f84889f74889d64889ca4d89c24d89c84c8b4c2408 0f05', [18, undefined, 5]],
    ['at the very start', 'b80a000000 0f05', [0, 10, 5]],
    ['after another system call', '0f05 b81c000000 0f05', [2, 28, 5]],
  ];
  for (const [what, hex, expected] of sites) it(what, () => assert.deepEqual(found(hex), [expected]));

  const none: [what: string, hex: string][] = [
    ['a system call that is not rewritten (read)', '31d2 b800000000 0f05'],
    ['a number with a high byte', '31d2 b8ca010000 0f05'],
    ['mov r8d, 11', '41b80b000000 0f05'],
    ['mov ax, 11', '66b80b000000 0f05'],
    ['mov edi, [r8 + 28]', '498bb81c000000 0f05'],
    ['movzx edi, byte [r8 + 28]', '490fb6b81c000000 0f05'],
    ['mov dword [rbp - 0x48], 11', 'c745b80b000000 0f05'],
    ['mov dword [rsp - 0x48], 11', 'c74424b80b000000 0f05'],
    ['mov dword [r13 - 0x48], 11', '41c745b80b000000 0f05'],
    ['mov [r8 + rdi*4 + 11], eax', '418984b80b000000 0f05'],
    ['an unknown instruction in between', 'b8ca000000 488d35 00000000 0f05'],
    ['a jump in between', 'b8ca000000 eb00 0f05'],
    ['a call number for something else, far away', `b8ca000000 ${'31d2'.repeat(30)} 0f05`],
    ['no system call', 'b8ca000000 c3'],
    ['a text that ends in the sequence', 'b8ca000000 0f'],
    ['a text that starts in the sequence', '000000 0f05'],
  ];
  for (const [what, hex] of none) it(`not ${what}`, () => assert.deepEqual(found(hex), []));
});

test("the C library's sites are instructions, and the ones that matter are there", () => {
  const area = readMaps(process.pid).find(
    ({ name, permissions }) => /libc[.-]/.test(name) && permissions[2] === 'x',
  );
  assert.ok(area, 'this process has a C library');
  const text = readFileSync(area.name).subarray(area.offset, area.offset + area.end - area.start);
  const sites = findCallSites(text);
  const starts = instructionStarts(text, new Set(sites.map(({ offset }) => offset)));
  assert.deepEqual(
    sites.filter(({ offset }) => !starts.has(offset)),
    [],
  );
  const count = (nr: number | undefined): number => sites.filter((site) => site.nr === nr).length;
  assert.ok(count(202) >= 20, `${count(202)} futex sites`);
  for (const nr of [9, 10, 11, 28, undefined]) assert.ok(count(nr) >= 1, `a site of ${nr ?? 'syscall(2)'}`);
});

/** Those of `wanted` at which a linear decoding of the text, in step with it since long before, starts an instruction. */
function instructionStarts(text: Uint8Array, wanted: ReadonlySet<number>): Set<number> {
  const starts = new Set<number>();
  const decoder = new Decoder(64, text, DecoderOptions.None);
  const instruction = new Instruction();
  while (decoder.canDecode) {
    const at = decoder.position;
    decoder.decodeOut(instruction);
    if (wanted.has(at) && instruction.code !== Code.INVALID) starts.add(at);
  }
  instruction.free();
  decoder.free();
  return starts;
}
