import { alignUp, type ElfFile, type ElfSection, SHF, SHT } from '../elf/index.js';

export type Protection = 'rx' | 'r' | 'rw';

export const PAGE_SIZE = 4096;

/** The section that says how to unwind the stack through the patch's code. */
export const FRAME_SECTION = '.eh_frame';

/** A place that moves with the image, or one that does not. */
export type Location = { part: ImagePart; offset: number } | { address: number };

/** A field of the image that depends on where the image is; `got64` counts from the start of its read-only part. */
export interface Fixup {
  part: ImagePart;
  offset: number;
  form: 'abs64' | 'abs32' | 'abs32s' | 'pc32' | 'pc64' | 'got64';
  target: Location;
  addend: number;
}

/** One run of pages with one protection. Grows until the layout is sealed. */
export class ImagePart {
  /** From the image's start; set when the layout is sealed. */
  imageOffset = 0;
  #bytes = Buffer.alloc(PAGE_SIZE);
  #size = 0;

  constructor(readonly protection: Protection) {}

  get size(): number {
    return this.#size;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  /** Zeroed room for `size` bytes; returns its offset in the part. */
  reserve(size: number, alignment: number): number {
    const offset = alignUp(this.#size, alignment);
    this.#size = offset + size;
    if (this.#size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#size, this.#bytes.length * 2));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return offset;
  }
}

/** The image of a patch, relative to an address that is not known yet. */
export class ImageLayout {
  readonly text = new ImagePart('rx');
  readonly readOnly = new ImagePart('r');
  readonly data = new ImagePart('rw');
  readonly fixups: Fixup[] = [];
  readonly #sections = new Map<number, { part: ImagePart; offset: number }>();

  constructor(elf: ElfFile) {
    for (const section of elf.sections) {
      if (!(section.flags & SHF.ALLOC)) continue;
      const part = this.#partFor(section);
      const offset = part.reserve(section.size, Math.max(1, section.alignment));
      if (section.type !== SHT.NOBITS) part.bytes.set(elf.sectionBytes(section), offset);
      this.#sections.set(section.index, { part, offset });
    }
  }

  /** Where a section of the patch was put. */
  place(sectionIndex: number): { part: ImagePart; offset: number } | undefined {
    return this.#sections.get(sectionIndex);
  }

  get parts(): ImagePart[] {
    return [this.text, this.readOnly, this.data].filter((part) => part.size > 0);
  }

  /** Fixes the parts' places, page-aligned apart, and returns the image's size. */
  seal(): number {
    let end = 0;
    for (const part of this.parts) {
      part.imageOffset = end;
      end = alignUp(end + part.size, PAGE_SIZE);
    }
    return end;
  }

  #partFor({ flags, name }: ElfSection): ImagePart {
    if (flags & SHF.EXECINSTR) return this.text;
    // Its relocations are applied before the image is mapped, so nobody needs to write it.
    const isConstant = !(flags & SHF.WRITE) || /^\.l?data\.rel\.ro/.test(name);
    return isConstant ? this.readOnly : this.data;
  }
}
