import { R_X86_64 } from '../elf/index.js';
import { callsThroughGot } from './relocation-effects.js';

/*
 * The general and local dynamic TLS sequences call __tls_get_addr; for a variable of the executable itself the
 * static linker rewrites them to local-exec code of the same length (psABI, "TLS Code Sequences"; U. Drepper,
 * "ELF Handling For Thread-Local Storage", 5.5). A patch does the same. `field` is the offset of the relocated
 * field of the first instruction.
 */

const MOV_FS0_RAX = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];

export interface RewrittenTls {
  /** How many of the following relocations went with the call to __tls_get_addr. */
  skip: number;
}

/** `lea x@tlsgd(%rip),%rdi; call __tls_get_addr` becomes `mov %fs:0,%rax; lea x@tpoff(%rax),%rax`. */
export function rewriteGeneralDynamic(
  code: Buffer,
  field: number,
  threadOffset: number,
): RewrittenTls | undefined {
  const start = field - 4;
  if (start < 0 || start + 16 > code.length) return undefined;
  if (!matches(code, start, [0x66, 0x48, 0x8d, 0x3d])) return undefined;
  const direct = matches(code, field + 4, [0x66, 0x66, 0x48, 0xe8]);
  const throughGot = matches(code, field + 4, [0x66, 0x48, 0xff, 0x15]);
  if (!direct && !throughGot) return undefined;
  code.set([...MOV_FS0_RAX, 0x48, 0x8d, 0x80], start);
  code.writeInt32LE(threadOffset, start + 12);
  return { skip: 1 };
}

/** `lea x@tlsld(%rip),%rdi; call __tls_get_addr` becomes `mov %fs:0,%rax`, padded with prefixes. */
export function rewriteLocalDynamic(code: Buffer, field: number): RewrittenTls | undefined {
  const start = field - 3;
  const padding = callsThroughGot(code, field) ? 4 : 3;
  if (start < 0 || start + padding + MOV_FS0_RAX.length > code.length) return undefined;
  if (!matches(code, start, [0x48, 0x8d, 0x3d])) return undefined;
  if (padding === 3 && code[field + 4] !== 0xe8) return undefined;
  code.set([...Array.from({ length: padding }, () => 0x66), ...MOV_FS0_RAX], start);
  return { skip: 1 };
}

/** `lea x@tlsdesc(%rip),%reg` becomes `mov $x@tpoff,%reg`; the call of the descriptor becomes a no-op. */
export function rewriteDescriptor(
  code: Buffer,
  type: number,
  field: number,
  threadOffset: number,
): RewrittenTls | undefined {
  if (type === R_X86_64.TLSDESC_CALL) {
    if (!matches(code, field, [0xff, 0x10])) return undefined;
    code.set([0x66, 0x90], field);
    return { skip: 0 };
  }
  if (field < 3 || code[field - 2] !== 0x8d) return undefined;
  // REX.R and ModRM.reg name the register of `lea`; REX.B and ModRM.rm that of `mov`.
  const [rex, modRm] = [code[field - 3]!, code[field - 1]!];
  if ((rex & 0xfb) !== 0x48 || (modRm & 0xc7) !== 0x05) return undefined;
  code.set([0x48 | ((rex >> 2) & 1), 0xc7, 0xc0 | ((modRm >> 3) & 7)], field - 3);
  code.writeInt32LE(threadOffset, field);
  return { skip: 0 };
}

function matches(code: Uint8Array, at: number, pattern: readonly number[]): boolean {
  return pattern.every((byte, index) => code[at + index] === byte);
}
