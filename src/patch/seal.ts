import { createHash } from 'node:crypto';
import { AtlasError } from '../errors/atlas-error.js';

/*
 * A patch file is an ELF object and, behind it, its seal:
 *
 *     8   "ATLASPAT"
 *     4   format version, little-endian
 *     4   0
 *     32  SHA-256 of everything before it, from the file's first byte on
 *
 * Tools that read ELF do not look behind the section headers. Whoever reads a patch looks here first: a file that was
 * cut off, extended or changed by a single bit is not a patch any more, whatever its structures still say.
 */
const MAGIC = Buffer.from('ATLASPAT', 'latin1');
const HASH_SIZE = 32;
const SEAL_SIZE = 16 + HASH_SIZE;

/** Counts every change of what a patch file means: a reader knows its own version only. */
export const FORMAT_VERSION = 2;

/** What building refuses to write and reading refuses to look into: so reading takes bounded time and memory. */
export const MAXIMUM_FILE_SIZE = 64 << 20;

const hashOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export function sealPatch(object: Uint8Array): Uint8Array {
  const file = Buffer.alloc(object.length + SEAL_SIZE);
  file.set(object);
  file.set(MAGIC, object.length);
  file.writeUInt32LE(FORMAT_VERSION, object.length + 8);
  file.set(hashOf(file.subarray(0, -HASH_SIZE)), file.length - HASH_SIZE);
  return file;
}

/** The object in an unharmed patch file; throws `bad-input` for anything else. */
export function unsealPatch(bytes: Uint8Array, fileName: string): Uint8Array {
  const bad = (what: string, advice = 'Build the patch again with "atlas patch build".') =>
    new AtlasError('bad-input', `${fileName}: ${what}`, advice);
  if (bytes.length > MAXIMUM_FILE_SIZE) throw bad(`${bytes.length} bytes are too many for a patch`);
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = file.length - SEAL_SIZE;
  if (at < 0 || file.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0) throw bad(unsealed(file));
  const isIntact = hashOf(file.subarray(0, -HASH_SIZE)).equals(file.subarray(-HASH_SIZE));
  if (!isIntact) throw bad('the patch is damaged: its content is not what its hash says', COPY_AGAIN);
  const version = file.readUInt32LE(at + 8);
  if (version !== FORMAT_VERSION) {
    throw bad(`the patch has format ${version}, and this version of Atlas reads format ${FORMAT_VERSION}`);
  }
  return file.subarray(0, at);
}

const COPY_AGAIN = 'Copy the file again, or build the patch again with "atlas patch build".';

/** Why a file has no seal. The first format had none, and said so in its note. */
function unsealed(file: Buffer): string {
  if (!file.includes('.note.atlas.patch')) return 'not an Atlas patch';
  return file.includes('{"format":1,')
    ? 'the patch has format 1, from an earlier version of Atlas, which cannot be checked for damage'
    : 'the patch is damaged: its end is missing, or something was appended to it';
}
