import type { ReadWord } from './expression.js';

/** Reads into the buffer what is mapped at an address; returns the number of bytes, fewer where a mapping ends. */
export type ReadMemory = (address: number, buffer: Uint8Array) => number;

const PAGE = 4096;

/**
 * Words of a stopped thread's memory, read by pages: an unwinder asks for many words close to each other, and
 * every read is a system call. Valid only while the memory does not change.
 */
export function wordReader(readMemory: ReadMemory): ReadWord {
  const page = new Uint8Array(PAGE);
  const view = new DataView(page.buffer);
  const word = new Uint8Array(8);
  let pageAddress = -1;
  let length = 0;
  return (address) => {
    if (!Number.isSafeInteger(address) || address < 0) return undefined;
    const start = address - (address % PAGE);
    const offset = address - start;
    if (offset + 8 > PAGE) {
      if (readMemory(address, word) < 8) return undefined;
      return new DataView(word.buffer).getBigUint64(0, true);
    }
    if (start !== pageAddress) {
      length = readMemory(start, page);
      pageAddress = start;
    }
    return offset + 8 <= length ? view.getBigUint64(offset, true) : undefined;
  };
}
