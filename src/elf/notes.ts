import { alignUp, type ElfBytes } from './elf-bytes.js';

export interface ElfNote {
  owner: string;
  type: number;
  descriptor: Uint8Array;
}

/**
 * The notes in a range of the file: `namesz`, `descsz`, `type`, then the name and the descriptor, each padded
 * to four bytes (or to eight, in sections so aligned, such as .note.gnu.property).
 */
export function readNotes(bytes: ElfBytes, offset: number, size: number, alignment: number): ElfNote[] {
  const notes: ElfNote[] = [];
  const padding = alignment === 8 ? 8 : 4;
  const end = offset + size;
  let at = offset;
  while (at + 12 <= end) {
    const nameSize = bytes.u32(at);
    const descriptorSize = bytes.u32(at + 4);
    const type = bytes.u32(at + 8);
    const descriptorAt = offset + alignUp(at + 12 + nameSize - offset, padding);
    if (descriptorAt + descriptorSize > end) throw bytes.bad('a note lies outside its section');
    const name = Buffer.from(bytes.slice(at + 12, nameSize, 'a note')).toString('latin1');
    const descriptor = bytes.slice(descriptorAt, descriptorSize, 'a note');
    notes.push({ owner: name.replace(/\0+$/, ''), type, descriptor });
    at = offset + alignUp(descriptorAt + descriptorSize - offset, padding);
  }
  return notes;
}

/** One note, padded, as it stands in a section. */
export function encodeNote(note: ElfNote): Uint8Array {
  const owner = Buffer.from(`${note.owner}\0`, 'latin1');
  const descriptorAt = alignUp(12 + owner.length, 4);
  const bytes = Buffer.alloc(alignUp(descriptorAt + note.descriptor.length, 4));
  bytes.writeUInt32LE(owner.length, 0);
  bytes.writeUInt32LE(note.descriptor.length, 4);
  bytes.writeUInt32LE(note.type, 8);
  owner.copy(bytes, 12);
  bytes.set(note.descriptor, descriptorAt);
  return bytes;
}
