import type { ElfBytes } from '../../elf/index.js';

/** `DW_FORM_*`: how the value of an attribute is written (DWARF 5, section 7.5.6; the older ones in DWARF 2 to 4). */
export const DW_FORM = {
  addr: 0x01,
  block2: 0x03,
  block4: 0x04,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  string: 0x08,
  block: 0x09,
  block1: 0x0a,
  data1: 0x0b,
  flag: 0x0c,
  sdata: 0x0d,
  strp: 0x0e,
  udata: 0x0f,
  ref_addr: 0x10,
  ref1: 0x11,
  ref2: 0x12,
  ref4: 0x13,
  ref8: 0x14,
  ref_udata: 0x15,
  indirect: 0x16,
  sec_offset: 0x17,
  exprloc: 0x18,
  flag_present: 0x19,
  strx: 0x1a,
  addrx: 0x1b,
  data16: 0x1e,
  line_strp: 0x1f,
  ref_sig8: 0x20,
  implicit_const: 0x21,
  loclistx: 0x22,
  rnglistx: 0x23,
  strx1: 0x25,
  strx4: 0x28,
  addrx1: 0x29,
  addrx4: 0x2c,
} as const;

/** LEB128: seven bits a byte, lowest first. Returns the value and the offset after it. */
export function readLeb(bytes: ElfBytes, start: number, isSigned: boolean): [value: number, next: number] {
  let value = 0;
  let scale = 1;
  let at = start;
  for (;;) {
    const byte = bytes.u8(at++);
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte & 0x80) continue;
    return [isSigned && byte & 0x40 ? value - scale : value, at];
  }
}
