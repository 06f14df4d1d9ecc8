import { AtlasError } from '../errors/atlas-error.js';

/**
 * Little-endian reads from a file that nobody vouches for: what lies outside is the file's fault
 * (`bad-input`), never a RangeError.
 */
export class ElfBytes {
  readonly #buffer: Buffer;

  constructor(
    readonly bytes: Uint8Array,
    readonly fileName: string,
  ) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  bad(what: string): AtlasError {
    return new AtlasError(
      'bad-input',
      `${this.fileName}: ${what}`,
      'Give an x86-64 ELF file that is complete and unchanged since the compiler or linker wrote it.',
    );
  }

  /** Throws unless `[offset, offset + length)` lies in the file. NaN and inexact numbers do not. */
  check(offset: number, length: number, what: string): void {
    const end = offset + length;
    if (!(offset >= 0 && length >= 0 && end <= this.bytes.length && Number.isSafeInteger(end))) {
      throw this.bad(`${what} lies outside the file`);
    }
  }

  slice(offset: number, length: number, what: string): Uint8Array {
    this.check(offset, length, what);
    return this.bytes.subarray(offset, offset + length);
  }

  u8(offset: number): number {
    this.check(offset, 1, 'a byte');
    return this.bytes[offset]!;
  }

  u16(offset: number): number {
    this.check(offset, 2, 'a half word');
    return this.#buffer.readUInt16LE(offset);
  }

  u32(offset: number): number {
    this.check(offset, 4, 'a word');
    return this.#buffer.readUInt32LE(offset);
  }

  /** Exact below 2^53; what is larger is rounded, and no offset, size or address of a sound file is. */
  u64(offset: number): number {
    this.check(offset, 8, 'a double word');
    return this.#buffer.readUInt32LE(offset + 4) * 0x1_0000_0000 + this.#buffer.readUInt32LE(offset);
  }

  i64(offset: number): number {
    this.check(offset, 8, 'a double word');
    return this.#buffer.readInt32LE(offset + 4) * 0x1_0000_0000 + this.#buffer.readUInt32LE(offset);
  }

  /** The NUL-terminated string at `offset`, which must end before `limit`. */
  string(offset: number, limit: number): string {
    this.check(offset, 0, 'a string');
    const end = this.bytes.indexOf(0, offset);
    if (end < 0 || end >= limit) throw this.bad('a string has no end');
    return this.#buffer.toString('utf8', offset, end);
  }
}

export function alignUp(value: number, alignment: number): number {
  return alignment <= 1 ? value : Math.ceil(value / alignment) * alignment;
}
