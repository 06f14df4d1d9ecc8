import { type ElfRelocation, isDefined } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import type { Comparison } from './compare.js';
import type { InputObject, InputSection } from './input-program.js';
import { referenceOf } from './references.js';

/**
 * An entry of .eh_frame (LSB Core, "Exception Frames"): a length, then for a common entry (CIE) zero, for a frame
 * description (FDE) the distance back to its common one, and then the code's address.
 */
export interface FrameEntry {
  /** The .eh_frame that it stands in; its relocations are relative to the entry's start. */
  section: InputSection;
  bytes: Uint8Array;
  relocations: ElfRelocation[];
}

export interface FunctionFrame {
  common: FrameEntry;
  description: FrameEntry;
}

/** Of a frame description: behind the length and the distance. */
const CODE_ADDRESS = 8;

const known = new WeakMap<InputObject, Map<InputSection, FunctionFrame[]>>();

/** What the object file says about unwinding through the code of a section. */
export function framesOf(section: InputSection): readonly FunctionFrame[] {
  let frames = known.get(section.object);
  if (frames === undefined) {
    frames = readFrames(section.object);
    known.set(section.object, frames);
  }
  return frames.get(section) ?? [];
}

function readFrames(object: InputObject): Map<InputSection, FunctionFrame[]> {
  const frames = new Map<InputSection, FunctionFrame[]>();
  for (const section of object.sections) {
    if (section.header.name !== '.eh_frame') continue;
    const common = new Map<number, FrameEntry>();
    for (const { at, entry } of entriesIn(section)) {
      const distance = word(entry, 4);
      if (distance === 0) {
        common.set(at, entry);
        continue;
      }
      const owner = common.get(at + 4 - distance);
      const code = codeOf(entry);
      if (owner === undefined || code === undefined) continue;
      const others = frames.get(code);
      const frame = { common: owner, description: entry };
      if (others === undefined) frames.set(code, [frame]);
      else others.push(frame);
    }
  }
  return frames;
}

function entriesIn(section: InputSection): { at: number; entry: FrameEntry }[] {
  const { elf } = section.object;
  const bytes = elf.sectionBytes(section.header);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const relocations = elf.relocationsOf(section.header);
  const entries: { at: number; entry: FrameEntry }[] = [];
  let next = 0;
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length === 0) break;
    const end = at + 4 + length;
    if (length < 4 || end > bytes.length) {
      throw new AtlasError('bad-input', `${elf.fileName}: .eh_frame is damaged`, 'Compile it again.');
    }
    const own: ElfRelocation[] = [];
    for (; next < relocations.length && relocations[next]!.offset < end; next++) {
      own.push({ ...relocations[next]!, offset: relocations[next]!.offset - at });
    }
    entries.push({ at, entry: { section, bytes: bytes.subarray(at, end), relocations: own } });
    at = end;
  }
  return entries;
}

function word({ bytes }: FrameEntry, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(offset, true);
}

function codeOf({ section, relocations }: FrameEntry): InputSection | undefined {
  const relocation = relocations.find(({ offset }) => offset === CODE_ADDRESS);
  const symbol = relocation && section.object.elf.symbols[relocation.symbol];
  return symbol && isDefined(symbol) ? section.object.sections[symbol.section] : undefined;
}

/**
 * Whether exceptions are handled alike: equal code may catch something else, for which exceptions it handles where is
 * written in a table of its own (.gcc_except_table), to which the frame description leads.
 */
export function sameHandlers(old: InputSection, fresh: InputSection, comparison: Comparison): boolean {
  const [before, after] = [framesOf(old), framesOf(fresh)];
  if (before.length !== after.length) return false;
  return after.every((frame, index) => {
    const other = before[index]!;
    return (
      sameReferences(other.common, frame.common, comparison) &&
      sameReferences(other.description, frame.description, comparison)
    );
  });
}

function sameReferences(old: FrameEntry, fresh: FrameEntry, comparison: Comparison): boolean {
  const references = ({ relocations, section }: FrameEntry, program: Comparison['old']) =>
    relocations
      .filter(({ offset }) => offset !== CODE_ADDRESS)
      .map((relocation) => referenceOf(section, relocation, program));
  const before = references(old, comparison.old);
  const after = references(fresh, comparison.fresh);
  return (
    before.length === after.length &&
    after.every((reference, index) => comparison.sameReference(before[index]!, reference))
  );
}

/** Composes the .eh_frame of a patch: each frame description with the common entry that it belongs to. */
export class FrameTable {
  readonly #parts: Uint8Array[] = [];
  readonly #common = new Map<FrameEntry, number>();
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** @param relocate is told where the entry's relocations are from now on */
  add(frame: FunctionFrame, relocate: (entry: FrameEntry, start: number) => void): void {
    let common = this.#common.get(frame.common);
    if (common === undefined) {
      common = this.#append(Uint8Array.from(frame.common.bytes));
      this.#common.set(frame.common, common);
      relocate(frame.common, common);
    }
    const bytes = Uint8Array.from(frame.description.bytes);
    new DataView(bytes.buffer).setUint32(4, this.#size + 4 - common, true);
    relocate(frame.description, this.#append(bytes));
  }

  /** With the zero that ends it. */
  bytes(): Uint8Array {
    return Buffer.concat([...this.#parts, new Uint8Array(4)]);
  }

  #append(bytes: Uint8Array): number {
    const start = this.#size;
    this.#parts.push(bytes);
    this.#size += bytes.length;
    return start;
  }
}
