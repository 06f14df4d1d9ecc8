/** A static ELF executable of one segment: code, and zeroed memory behind it. See elf(5) for the headers. */
export const CODE_START = 0x40_0000 + 64 + 56;
/** Where the zeroed memory begins; the code ends below. */
export const MEMORY_START = 0x40_1000;

const BASE = 0x40_0000;
const HEADERS = 64 + 56;
const PF_RWX = 7;

/** @param code for `CODE_START`, which is also its entry unless `entry` says otherwise */
export function staticExecutable(code: Uint8Array, memory: number, entry = CODE_START): Uint8Array {
  const image = new Uint8Array(HEADERS + code.length);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // e_type: ET_EXEC
  view.setUint16(18, 62, true); // e_machine: EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true); // e_phnum
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, PF_RWX, true);
  view.setBigUint64(80, BigInt(BASE), true);
  view.setBigUint64(88, BigInt(BASE), true);
  view.setBigUint64(96, BigInt(image.length), true);
  view.setBigUint64(104, BigInt(MEMORY_START - BASE + memory), true);
  view.setBigUint64(112, 0x1000n, true);
  image.set(code, HEADERS);
  return image;
}
