/**
 * Finding the places of a program's text that make the system calls which Atlas would otherwise have to
 * trap. C libraries make them alike:
 *
 *     b8 ca 00 00 00   mov eax, 202       replaced by `jmp island` (e9 rel32: five bytes as well)
 *     …                                   at some futex sites: how the C library computes the operation
 *     0f 05            syscall            stays
 *
 * and `syscall(2)`, through which language runtimes make their futex calls, loads its last argument with
 * an instruction of five bytes in front of its `syscall`.
 *
 * Only an instruction's own five bytes are replaced, never the `syscall`: a jump to any instruction of the
 * sequence does what it did, a sleeping thread's address is one that the unwinding tables know, and a
 * restarted call (rip - 2) is made again.
 */
import { SYS } from '../linux/syscall-numbers.js';
import { GATE_CALLS } from './gate-layout.js';

export const SITE_BYTES = 5;
/** From a site to the end of its `syscall`: no sequence that is recognised is longer. */
const LONGEST = 40;
/** What `findCallSites` looks at before a site. */
const BEFORE = 20;
/** How much two neighbouring pieces of a text must share so that no site is missed. */
export const SITE_OVERLAP = BEFORE + LONGEST;

export interface CallSite {
  /** Of the replaced instruction, in the text. */
  offset: number;
  /** The system call's number; undefined in `syscall(2)`, where it is in rax. */
  nr: number | undefined;
  /** The replaced instruction and those up to the `syscall`, which stays at offset + code.length. */
  code: Uint8Array;
}

const MOV_EAX = 0xb8;
const REWRITTEN: ReadonlySet<number> = new Set([...GATE_CALLS, SYS.futex]);
const SYSCALL_INSTRUCTION = '\x0f\x05';

/** glibc's syscall(2) up to its `mov r9, [rsp+8]` (sysdeps/unix/sysv/linux/x86_64/syscall.S). */
const SYSCALL_FUNCTION = Buffer.from('4889f84889f74889d64889ca4d89c24d89c84c8b4c2408', 'hex');

/**
 * Instructions that compilers put between `mov eax, 202` and `syscall`: prefix bytes, and how many bytes of
 * immediate and displacement follow. None refers to rip, jumps, or touches rax or rsp.
 */
const BETWEEN: readonly (readonly [prefix: readonly number[], rest: number])[] = [
  [[0x40, 0x80, 0xf6], 1], // xor sil, imm8
  [[0x80, 0xf2], 1], // xor dl, imm8
  [[0x81, 0xe6], 4], // and esi, imm32
  [[0xc1, 0xe6], 1], // shl esi, imm8
  [[0xba], 4], // mov edx, imm32
  [[0xbe], 4], // mov esi, imm32
  [[0x89, 0xde], 0], // mov esi, ebx
  [[0x89, 0xd6], 0], // mov esi, edx
  [[0x31, 0xd2], 0], // xor edx, edx
  [[0x31, 0xf6], 0], // xor esi, esi
  [[0x45, 0x31, 0xd2], 0], // xor r10d, r10d
  [[0x85, 0xd2], 0], // test edx, edx
  [[0x45, 0x85, 0xc0], 0], // test r8d, r8d
  [[0x40, 0x0f, 0x95, 0xc6], 0], // setne sil
  [[0x41, 0x8b, 0x70], 1], // mov esi, [r8 + disp8]
  [[0x41, 0xc7, 0x00], 4], // mov dword [r8], imm32
  [[0x41, 0xc7, 0x40], 5], // mov dword [r8 + disp8], imm32
  [[0x41, 0xc7, 0x44, 0x90], 5], // mov dword [r8 + rdx * 4 + disp8], imm32
];

/** The call sites in a piece of text, in order. */
export function findCallSites(text: Uint8Array): CallSite[] {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length);
  const sites: CallSite[] = [];
  for (let at = bytes.indexOf(SYSCALL_INSTRUCTION, 0, 'latin1'); at >= 0; ) {
    const site = siteBefore(bytes, at);
    if (site) sites.push(site);
    at = bytes.indexOf(SYSCALL_INSTRUCTION, at + SYSCALL_INSTRUCTION.length, 'latin1');
  }
  return sites;
}

function siteBefore(bytes: Buffer, end: number): CallSite | undefined {
  const site = (offset: number, nr: number | undefined): CallSite => ({
    offset,
    nr,
    code: Uint8Array.from(bytes.subarray(offset, end)),
  });
  const direct = end - SITE_BYTES;
  const nr = loadedNumber(bytes, direct);
  if (nr !== undefined && REWRITTEN.has(nr))
    return isInstruction(bytes, direct) ? site(direct, nr) : undefined;
  const start = end - SYSCALL_FUNCTION.length;
  if (start >= 0 && bytes.compare(SYSCALL_FUNCTION, 0, SYSCALL_FUNCTION.length, start, end) === 0) {
    return site(direct, undefined);
  }
  for (let offset = direct - 2; offset >= Math.max(0, end - LONGEST); offset--) {
    if (loadedNumber(bytes, offset) !== SYS.futex) continue;
    return isInstruction(bytes, offset) && areKnown(bytes, offset + SITE_BYTES, end)
      ? site(offset, SYS.futex)
      : undefined;
  }
  return undefined;
}

/** The number in `mov eax, imm32`, if that is what stands at `offset`. */
function loadedNumber(bytes: Buffer, offset: number): number | undefined {
  return offset >= 0 && bytes[offset] === MOV_EAX ? bytes.readUInt32LE(offset + 1) : undefined;
}

function areKnown(bytes: Buffer, from: number, end: number): boolean {
  let at = from;
  while (at < end) {
    const known = BETWEEN.find(([prefix]) => prefix.every((byte, index) => bytes[at + index] === byte));
    if (!known) return false;
    at += known[0].length + known[1];
  }
  return at === end;
}

/**
 * Whether b8 is the opcode of `mov eax`, and not a part of another instruction. The bytes after it and the
 * `syscall` leave few other readings, told by what stands before it:
 *
 * | b8 as | for example | told by |
 * | --- | --- | --- |
 * | opcode after a prefix | mov r8d, imm32 | 4x or 66 in front |
 * | ModRM or SIB byte | mov edi, [rax + disp32] | rax would be an address in front of a system call, so REX.B |
 * | SIB byte | mov [r8 + rdi*4 + disp32], eax | a ModRM byte that wants SIB and disp32 |
 * | 8-bit displacement | mov dword [rbp - 0x48], imm32 | an opcode with ModRM and imm32 |
 *
 * If it ended an instruction, the next one would be 09 00, 0a 00, 0b 00, 1c 00 or ca 00 and then 00 00,
 * which stores to [rax]. A prefix that only looks like one costs a site, no more.
 */
function isInstruction(bytes: Buffer, at: number): boolean {
  const [first = 0, second = 0, third = 0] = [bytes[at - 1], bytes[at - 2], bytes[at - 3]];
  const extendsBase = (byte: number): boolean => (byte & 0xf1) === 0x41;
  const hasImmediate = (byte: number): boolean =>
    byte === 0xc7 || byte === 0x81 || byte === 0x69 || byte === 0xf7;
  if ((first & 0xf0) === 0x40 || first === 0x66 || (first & 0xc7) === 0x84) return false;
  if (extendsBase(second) || (second === 0x0f && extendsBase(third))) return false;
  return !hasImmediate(second) && !hasImmediate(third);
}
