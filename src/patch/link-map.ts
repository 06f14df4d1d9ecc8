import { DT, type ElfFile, PT } from '../elf/index.js';

/** An entry of the dynamic linker's list of what it has mapped. */
export interface LinkMapEntry {
  /** As the dynamic linker opened it; empty for the executable. */
  name: string;
  loadBias: number;
}

/** Far more than a program has libraries: a list that is longer is a circle. */
const LONGEST_LIST = 10_000;
const LONGEST_NAME = 4096;

/**
 * Reads the list that the dynamic linker keeps for debuggers (<link.h>): DT_DEBUG of the executable leads to `struct
 * r_debug`, whose second word leads to the first `struct link_map`: l_addr, l_name, l_ld, l_next.
 *
 * @returns nothing for a static executable
 */
export function readLinkMap(
  elf: ElfFile,
  loadBias: number,
  read: (address: number, length: number) => Uint8Array,
): LinkMapEntry[] {
  const word = (address: number): number => {
    const bytes = Buffer.from(read(address, 8));
    return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : 0;
  };
  const dynamic = elf.segments.find(({ type }) => type === PT.DYNAMIC);
  let debug = 0;
  for (let at = 0; dynamic !== undefined && at < dynamic.memorySize; at += 16) {
    const address = dynamic.address + loadBias + at;
    if (word(address) === DT.DEBUG) debug = word(address + 8);
  }
  const entries: LinkMapEntry[] = [];
  let map = debug === 0 ? 0 : word(debug + 8);
  for (; map !== 0 && entries.length < LONGEST_LIST; map = word(map + 24)) {
    entries.push({ name: stringAt(word(map + 8), read), loadBias: word(map) });
  }
  return entries;
}

function stringAt(address: number, read: (address: number, length: number) => Uint8Array): string {
  const parts: Uint8Array[] = [];
  // Never across a page's end, behind which there may be nothing.
  for (let at = address, length = 0; address !== 0 && length < LONGEST_NAME; ) {
    const piece = Buffer.from(read(at, 64 - (at % 64)));
    const end = piece.indexOf(0);
    parts.push(end < 0 ? piece : piece.subarray(0, end));
    if (end >= 0 || piece.length === 0) break;
    at += piece.length;
    length += piece.length;
  }
  return Buffer.concat(parts).toString('utf8');
}
