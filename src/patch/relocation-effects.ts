import { createHash } from 'node:crypto';
import { R_X86_64 } from '../elf/index.js';

/**
 * Which bytes around a relocated field the static linker may have changed. Beyond the field itself the psABI lets
 * it rewrite whole instructions: GOT loads become `lea`/`mov` ("Optimize GOTPCRELX Relocations") and TLS
 * sequences become local-exec code ("Thread-Local Storage Descriptors", "TLS Code Sequences").
 */
interface Effect {
  /** Bytes of the field: what must lie inside the section. */
  width: number;
  /** First changed byte, relative to the field. */
  from: number;
  /** End of the changed bytes, relative to the field. */
  to: number;
}

const field = (width: number): Effect => ({ width, from: 0, to: width });

const EFFECTS = new Map<number, Effect>([
  [R_X86_64.NONE, field(0)],
  [R_X86_64[64], field(8)],
  [R_X86_64.PC64, field(8)],
  [R_X86_64.PC32, field(4)],
  [R_X86_64.PLT32, field(4)],
  [R_X86_64[32], field(4)],
  [R_X86_64['32S'], field(4)],
  [R_X86_64.TPOFF32, field(4)],
  [R_X86_64.DTPOFF32, field(4)],
  // The medium and large code models count from the global offset table.
  [R_X86_64.GOTPC32, field(4)],
  [R_X86_64.GOTPC64, field(8)],
  [R_X86_64.GOTOFF64, field(8)],
  [R_X86_64.PLTOFF64, field(8)],
  [R_X86_64.GOT64, field(8)],
  [R_X86_64.GOTPLT64, field(8)],
  [R_X86_64.GOTPCREL64, field(8)],
  // Opcode and ModRM; with a REX prefix, that too.
  [R_X86_64.GOTPCREL, { width: 4, from: -2, to: 4 }],
  [R_X86_64.GOTPCRELX, { width: 4, from: -2, to: 4 }],
  [R_X86_64.REX_GOTPCRELX, { width: 4, from: -3, to: 4 }],
  [R_X86_64.GOTTPOFF, { width: 4, from: -3, to: 4 }],
  [R_X86_64.GOTPC32_TLSDESC, { width: 4, from: -3, to: 4 }],
  [R_X86_64.TLSDESC_CALL, { width: 0, from: 0, to: 2 }],
  // data16 lea x@tlsgd(%rip),%rdi; data16 data16 rex.W call __tls_get_addr@PLT
  [R_X86_64.TLSGD, { width: 4, from: -4, to: 12 }],
  // lea x@tlsld(%rip),%rdi; call __tls_get_addr@PLT (one byte longer through the GOT, see below)
  [R_X86_64.TLSLD, { width: 4, from: -3, to: 9 }],
]);

/** Bytes of the relocated field; undefined for an unknown type. */
export function relocationWidth(type: number): number | undefined {
  return EFFECTS.get(type)?.width;
}

/** True when `call *__tls_get_addr@GOTPCREL(%rip)` (from -fno-plt) follows the `lea` of a TLSLD field. */
export function callsThroughGot(code: Uint8Array, fieldOffset: number): boolean {
  return code[fieldOffset + 4] === 0xff && code[fieldOffset + 5] === 0x15;
}

/** `[offset, length]` of bytes that a linked program need not have in common with the object file. */
export type MaskedRange = [number, number];

/** The ranges that linking may change, ascending and disjoint, clipped to `[0, size)`. */
export function maskedRanges(
  code: Uint8Array,
  relocations: readonly { offset: number; type: number }[],
  size: number,
): MaskedRange[] {
  const ranges: MaskedRange[] = [];
  for (const { offset, type } of relocations) {
    const effect = EFFECTS.get(type);
    if (effect === undefined) continue;
    const longer = type === R_X86_64.TLSLD && callsThroughGot(code, offset) ? 1 : 0;
    const start = Math.max(0, offset + effect.from);
    const end = Math.min(size, offset + effect.to + longer);
    const last = ranges.at(-1);
    if (start >= end) continue;
    if (last !== undefined && start <= last[0] + last[1]) last[1] = Math.max(last[1], end - last[0]);
    else ranges.push([start, end - start]);
  }
  return ranges;
}

/** SHA-256 of the bytes with the masked ones zeroed, in hexadecimal. */
export function hashMasked(bytes: Uint8Array, masked: readonly MaskedRange[]): string {
  const copy = Uint8Array.from(bytes);
  for (const [offset, length] of masked) copy.fill(0, offset, offset + length);
  return createHash('sha256').update(copy).digest('hex');
}
