import { AtlasError } from '../errors/atlas-error.js';

/** Ten groups of seven bits hold any 64-bit value; more is a malformed file that costs quadratic time. */
const LEB128_MAX_SHIFT = 63n;

/** A forward reader over little-endian bytes. Reading past the end is malformed input, never a value. */
export class ByteCursor {
  readonly #view: DataView;
  readonly #end: number;
  offset: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (offset < 0 || offset > end || end > bytes.length) throw outOfBounds(offset);
    this.offset = offset;
    this.#end = end;
  }

  get end(): number {
    return this.#end;
  }

  get atEnd(): boolean {
    return this.offset >= this.#end;
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** Moves by a signed distance, which must stay inside the bytes. */
  jump(distance: number): void {
    const target = this.offset + distance;
    if (target < 0 || target > this.#end) throw outOfBounds(target);
    this.offset = target;
  }

  /** The next `length` bytes, not copied. */
  take(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  i16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** An unsigned LEB128 that must fit a number: offsets, lengths, register numbers. */
  uleb(): number {
    return exact(this.ulebWide());
  }

  /** A signed LEB128 that must fit a number. */
  sleb(): number {
    return exact(this.slebWide());
  }

  ulebWide(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (shift > LEB128_MAX_SHIFT) throw tooLong();
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  slebWide(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      if (shift > LEB128_MAX_SHIFT) throw tooLong();
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if ((byte & 0x80) === 0) return (byte & 0x40) === 0 ? value : value - (1n << shift);
    }
  }

  /** A zero-terminated string. */
  string(): string {
    let text = '';
    for (;;) {
      const byte = this.u8();
      if (byte === 0) return text;
      text += String.fromCharCode(byte);
    }
  }

  #take(length: number): number {
    const at = this.offset;
    if (length < 0 || at + length > this.#end) throw outOfBounds(at);
    this.offset = at + length;
    return at;
  }
}

function exact(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new AtlasError('bad-input', `LEB128 value ${value} is out of range`);
  return number;
}

function outOfBounds(offset: number): AtlasError {
  return new AtlasError('bad-input', `unwind information is truncated at offset 0x${offset.toString(16)}`);
}

function tooLong(): AtlasError {
  return new AtlasError('bad-input', 'unwind information has a LEB128 value of more than 64 bits');
}
