import { AtlasError } from '../errors/atlas-error.js';
import { ByteCursor } from './byte-cursor.js';
import type { LocatedBytes } from './frame-sections.js';
import { DW_EH_PE_omit, readEncodedPointer, readPointerValue } from './pointer-encoding.js';

/** A common information entry: what the frame descriptions that name it share. */
export interface CommonEntry {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly returnAddressColumn: number;
  readonly pointerEncoding: number;
  /** Augmentation 'z': frame descriptions carry augmentation data with its length before it. */
  readonly hasAugmentationData: boolean;
  /** Augmentation 'S': the code is a signal trampoline, and its caller was interrupted, not calling. */
  readonly signalFrame: boolean;
  readonly instructions: LocatedBytes;
}

/** A frame description entry: how to unwind from any instruction of [start, end), in link-time addresses. */
export interface FrameEntry {
  readonly common: CommonEntry;
  readonly start: number;
  readonly end: number;
  readonly instructions: LocatedBytes;
}

interface EntryExtent {
  /** Offset of the CIE id or CIE pointer. */
  readonly idOffset: number;
  readonly id: number;
  readonly bodyOffset: number;
  readonly end: number;
}

/**
 * The entries of one .eh_frame section (LSB Core, "The .eh_frame section").
 *
 *     CIE   length | 0            | version, augmentation, alignments, ... | initial instructions
 *     FDE   length | back-pointer | start, length of the code, ...         | instructions
 *     ...
 *     end   0
 *
 * The back-pointer is the distance from itself to its CIE.
 */
export class FrameEntries {
  readonly #section: LocatedBytes;
  readonly #commonEntries = new Map<number, CommonEntry>();

  constructor(section: LocatedBytes) {
    this.#section = section;
  }

  /** The frame description at a link-time address, as an entry of .eh_frame_hdr names it. */
  at(address: number): FrameEntry {
    const extent = this.#extent(address - this.#section.address);
    if (extent === undefined || extent.id === 0) {
      throw new AtlasError('bad-input', `no frame description at 0x${address.toString(16)}`);
    }
    return this.#frameEntry(extent);
  }

  /** All frame descriptions in file order. */
  *all(): Generator<FrameEntry> {
    let offset = 0;
    while (offset < this.#section.bytes.length) {
      const extent = this.#extent(offset);
      if (extent === undefined) return;
      if (extent.id !== 0) yield this.#frameEntry(extent);
      offset = extent.end;
    }
  }

  #extent(offset: number): EntryExtent | undefined {
    const cursor = new ByteCursor(this.#section.bytes, offset);
    let length = cursor.u32();
    if (length === 0) return undefined;
    if (length === 0xffffffff) length = Number(cursor.u64());
    // The id stays 4 bytes wide after an extended length: here .eh_frame differs from .debug_frame.
    const idOffset = cursor.offset;
    const id = cursor.u32();
    return { idOffset, id, bodyOffset: cursor.offset, end: idOffset + length };
  }

  #frameEntry(extent: EntryExtent): FrameEntry {
    const common = this.#commonEntry(extent.idOffset - extent.id);
    const cursor = new ByteCursor(this.#section.bytes, extent.bodyOffset, extent.end);
    const start = readEncodedPointer(cursor, common.pointerEncoding, {
      cursorAddress: this.#section.address,
    });
    const length = readPointerValue(cursor, common.pointerEncoding);
    if (common.hasAugmentationData) cursor.skip(cursor.uleb());
    return {
      common,
      start,
      end: start + length,
      instructions: this.#located(cursor.offset, extent.end),
    };
  }

  #commonEntry(offset: number): CommonEntry {
    let entry = this.#commonEntries.get(offset);
    if (entry === undefined) {
      entry = this.#readCommonEntry(offset);
      this.#commonEntries.set(offset, entry);
    }
    return entry;
  }

  #readCommonEntry(offset: number): CommonEntry {
    const extent = this.#extent(offset);
    if (extent === undefined || extent.id !== 0) {
      throw new AtlasError('bad-input', `no common information entry at offset 0x${offset.toString(16)}`);
    }
    const cursor = new ByteCursor(this.#section.bytes, extent.bodyOffset, extent.end);
    const version = cursor.u8();
    if (version !== 1 && version !== 3) {
      throw new AtlasError('bad-input', `common information entry of unknown version ${version}`);
    }
    const augmentation = cursor.string();
    const codeAlignment = cursor.uleb();
    const dataAlignment = cursor.sleb();
    const returnAddressColumn = version === 1 ? cursor.u8() : cursor.uleb();

    let pointerEncoding = 0;
    let signalFrame = false;
    const hasAugmentationData = augmentation.startsWith('z');
    if (hasAugmentationData) {
      const dataLength = cursor.uleb();
      const instructionsOffset = cursor.offset + dataLength;
      for (const letter of augmentation.slice(1)) {
        if (letter === 'R') pointerEncoding = cursor.u8();
        else if (letter === 'S') signalFrame = true;
        else if (letter === 'P') this.#skipPersonality(cursor);
        else if (letter === 'L') cursor.skip(1);
        // An unknown letter's data cannot be delimited, and what follows might be an 'R'.
        else throw new AtlasError('bad-input', `unknown augmentation "${augmentation}"`);
      }
      cursor.offset = instructionsOffset;
    } else if (augmentation !== '') {
      throw new AtlasError('bad-input', `unknown augmentation "${augmentation}"`);
    }
    return {
      codeAlignment,
      dataAlignment,
      returnAddressColumn,
      pointerEncoding,
      hasAugmentationData,
      signalFrame,
      instructions: this.#located(cursor.offset, extent.end),
    };
  }

  #located(start: number, end: number): LocatedBytes {
    return { bytes: this.#section.bytes.subarray(start, end), address: this.#section.address + start };
  }

  #skipPersonality(cursor: ByteCursor): void {
    const encoding = cursor.u8();
    if (encoding !== DW_EH_PE_omit) {
      readEncodedPointer(cursor, encoding, { cursorAddress: this.#section.address, data: 0 });
    }
  }
}
