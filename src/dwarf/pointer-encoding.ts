import { AtlasError } from '../errors/atlas-error.js';
import type { ByteCursor } from './byte-cursor.js';

/*
 * Encoded pointers of .eh_frame (LSB Core, "DWARF Exception Header Encoding"): one byte says how.
 *
 *    7      6   5   4    3   2   1   0
 *   +----+-----------+-----------------+
 *   | in |  applied  |     format      |     0xff: no value at all
 *   +----+-----------+-----------------+
 *
 * `in`direct means that the value is the address of the pointer. Only personality routines use it, and
 * nothing here calls those, so the pointer is never followed.
 */
export const DW_EH_PE_omit = 0xff;
export const DW_EH_PE_datarel_sdata4 = 0x3b;

const FORMAT_MASK = 0x0f;
const APPLICATION_MASK = 0x70;

const DW_EH_PE_absptr = 0x00;
const DW_EH_PE_uleb128 = 0x01;
const DW_EH_PE_udata2 = 0x02;
const DW_EH_PE_udata4 = 0x03;
const DW_EH_PE_udata8 = 0x04;
const DW_EH_PE_sleb128 = 0x09;
const DW_EH_PE_sdata2 = 0x0a;
const DW_EH_PE_sdata4 = 0x0b;
const DW_EH_PE_sdata8 = 0x0c;

const DW_EH_PE_pcrel = 0x10;
const DW_EH_PE_datarel = 0x30;
const DW_EH_PE_aligned = 0x50;

export interface PointerBases {
  /** The link-time address of the byte at the cursor's offset 0. */
  readonly cursorAddress: number;
  /** What DW_EH_PE_datarel is relative to; absent where the encoding is not allowed. */
  readonly data?: number;
}

/** Reads one encoded pointer and applies its base. The result is a link-time address. */
export function readEncodedPointer(cursor: ByteCursor, encoding: number, bases: PointerBases): number {
  const application = encoding & APPLICATION_MASK;
  if (application === DW_EH_PE_aligned) {
    const address = bases.cursorAddress + cursor.offset;
    cursor.skip((8 - (address % 8)) % 8);
    return Number(cursor.u64());
  }
  const fieldAddress = bases.cursorAddress + cursor.offset;
  const value = readPointerValue(cursor, encoding);
  if (application === 0) return value;
  if (application === DW_EH_PE_pcrel) return fieldAddress + value;
  if (application === DW_EH_PE_datarel && bases.data !== undefined) return bases.data + value;
  throw new AtlasError('bad-input', `pointer encoding 0x${encoding.toString(16)} has no base here`);
}

/** Reads the bare value in the encoding's format: the length of an FDE's range, or a pointer to skip. */
export function readPointerValue(cursor: ByteCursor, encoding: number): number {
  switch (encoding & FORMAT_MASK) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
      return Number(cursor.u64());
    case DW_EH_PE_uleb128:
      return cursor.uleb();
    case DW_EH_PE_udata2:
      return cursor.u16();
    case DW_EH_PE_udata4:
      return cursor.u32();
    case DW_EH_PE_sleb128:
      return cursor.sleb();
    case DW_EH_PE_sdata2:
      return cursor.i16();
    case DW_EH_PE_sdata4:
      return cursor.i32();
    case DW_EH_PE_sdata8:
      return Number(cursor.i64());
    default:
      throw new AtlasError('bad-input', `unknown pointer encoding 0x${encoding.toString(16)}`);
  }
}
