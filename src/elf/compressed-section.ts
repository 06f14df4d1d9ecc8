import * as zlib from 'node:zlib';
import { AtlasError } from '../errors/atlas-error.js';
import type { ElfBytes } from './elf-bytes.js';

/** `ch_type` of Elf64_Chdr, the header in front of the content of a section with SHF_COMPRESSED (<elf.h>). */
const ELFCOMPRESS_ZLIB = 1;
const ELFCOMPRESS_ZSTD = 2;
const CHDR_SIZE = 24;
/** Before SHF_COMPRESSED, `.zdebug_*` began with `ZLIB` and the size, big-endian. */
const OLD_HEADER = 'ZLIB';
const OLD_HEADER_SIZE = 12;

/** Larger than any debugging information that fits an object file which we can read. */
const MAXIMUM_SIZE = 2 ** 31 - 1;

/** Node.js has it from 22.15 on. */
const zstd = (zlib as { zstdDecompressSync?: (bytes: Uint8Array, options: object) => Buffer })
  .zstdDecompressSync;

/** The content of a section with SHF_COMPRESSED. */
export function decompress(content: ElfBytes, what: string): Uint8Array {
  const type = content.u32(0);
  const size = content.u64(8);
  const packed = content.bytes.subarray(CHDR_SIZE);
  if (type === ELFCOMPRESS_ZLIB) return inflate(content, packed, size, what, zlib.inflateSync);
  if (type === ELFCOMPRESS_ZSTD && zstd !== undefined) return inflate(content, packed, size, what, zstd);
  throw new AtlasError(
    'bad-input',
    `${content.fileName}: ${what} is compressed in a way that this Node.js cannot read`,
    'Compile with -gz=zlib or -gz=none.',
  );
}

/** The content of a section `.zdebug_*`. */
export function decompressOld(content: ElfBytes, what: string): Uint8Array {
  const header = Buffer.from(content.slice(0, OLD_HEADER_SIZE, what));
  if (header.toString('latin1', 0, 4) !== OLD_HEADER) return content.bytes;
  const size = Number(header.readBigUInt64BE(4));
  return inflate(content, content.bytes.subarray(OLD_HEADER_SIZE), size, what, zlib.inflateSync);
}

function inflate(
  content: ElfBytes,
  packed: Uint8Array,
  size: number,
  what: string,
  method: (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer,
): Uint8Array {
  if (size > MAXIMUM_SIZE) throw content.bad(`${what} is too large`);
  let plain: Uint8Array;
  try {
    plain = method(packed, { maxOutputLength: Math.max(1, size) });
  } catch (cause) {
    throw content.bad(`${what} cannot be decompressed (${(cause as Error).message})`);
  }
  if (plain.length !== size) throw content.bad(`${what} has another size than it says`);
  return plain;
}
