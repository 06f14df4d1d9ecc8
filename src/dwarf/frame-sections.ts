import { AtlasError } from '../errors/atlas-error.js';
import { ByteCursor } from './byte-cursor.js';

/** Bytes of an ELF file with the link-time address they are loaded at. */
export interface LocatedBytes {
  readonly bytes: Uint8Array;
  readonly address: number;
}

export interface FrameSections {
  /** From .eh_frame_hdr to the end of its loadable segment. */
  readonly header?: LocatedBytes;
  /** The .eh_frame section, for files that have a section table and no header. */
  readonly ehFrame?: LocatedBytes;
  /** The bytes that are loaded at `address`, to the end of their segment. */
  at(address: number): LocatedBytes | undefined;
}

interface Segment {
  readonly type: number;
  readonly fileOffset: number;
  readonly address: number;
  readonly fileSize: number;
}

// <elf.h>
const PT_LOAD = 1;
const PT_GNU_EH_FRAME = 0x6474e550;
const ELF_MAGIC = 0x464c457f;
const ELFCLASS64_LITTLE_ENDIAN = 0x0102;
const EM_X86_64 = 62;

/** Finds the unwind tables of an ELF file, or of a memory image of one such as the vdso. */
export function findFrameSections(elf: Uint8Array): FrameSections {
  const cursor = new ByteCursor(elf);
  if (cursor.u32() !== ELF_MAGIC || cursor.u16() !== ELFCLASS64_LITTLE_ENDIAN || machine(elf) !== EM_X86_64) {
    throw new AtlasError('bad-input', 'not an x86-64 ELF file', 'Give a 64-bit x86 program or library.');
  }
  const segments = readSegments(elf);
  const at = (address: number): LocatedBytes | undefined => {
    for (const segment of segments) {
      const inside = address - segment.address;
      if (segment.type !== PT_LOAD || inside < 0 || inside >= segment.fileSize) continue;
      return {
        bytes: elf.subarray(segment.fileOffset + inside, segment.fileOffset + segment.fileSize),
        address,
      };
    }
    return undefined;
  };
  const headerSegment = segments.find((segment) => segment.type === PT_GNU_EH_FRAME);
  const header = headerSegment && at(headerSegment.address);
  if (header) return { header, at };
  const ehFrame = findEhFrameSection(elf);
  return ehFrame ? { ehFrame, at } : { at };
}

function machine(elf: Uint8Array): number {
  return new ByteCursor(elf, 18).u16(); // e_machine
}

function readSegments(elf: Uint8Array): Segment[] {
  const header = new ByteCursor(elf, 32); // e_phoff
  const tableOffset = Number(header.u64());
  header.offset = 54; // e_phentsize
  const entrySize = header.u16();
  const count = header.u16();
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const entry = new ByteCursor(elf, tableOffset + i * entrySize);
    const type = entry.u32();
    entry.skip(4); // p_flags
    const fileOffset = Number(entry.u64());
    const address = Number(entry.u64());
    entry.skip(8); // p_paddr
    const fileSize = Number(entry.u64());
    segments.push({ type, fileOffset, address, fileSize });
  }
  return segments;
}

function findEhFrameSection(elf: Uint8Array): LocatedBytes | undefined {
  const header = new ByteCursor(elf, 40); // e_shoff
  const tableOffset = Number(header.u64());
  header.offset = 58; // e_shentsize
  const entrySize = header.u16();
  const count = header.u16();
  const namesIndex = header.u16();
  if (tableOffset === 0 || namesIndex >= count) return undefined;
  const section = (index: number) => {
    const entry = new ByteCursor(elf, tableOffset + index * entrySize);
    const name = entry.u32();
    entry.skip(4 + 8); // sh_type, sh_flags
    const address = Number(entry.u64());
    const fileOffset = Number(entry.u64());
    return { name, address, fileOffset, size: Number(entry.u64()) };
  };
  const names = section(namesIndex).fileOffset;
  for (let i = 1; i < count; i++) {
    const candidate = section(i);
    if (new ByteCursor(elf, names + candidate.name).string() !== '.eh_frame') continue;
    const bytes = elf.subarray(candidate.fileOffset, candidate.fileOffset + candidate.size);
    return { bytes, address: candidate.address };
  }
  return undefined;
}
