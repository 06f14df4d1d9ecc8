import { isDefined, isGlobal, STT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { JUMP_SIZE } from './diff.js';
import { type Fixup, type Location, PAGE_SIZE, type Protection } from './image-layout.js';
import { type AddressRange, offsetInImage, type PatchPlan } from './plan.js';
import type { AppliedPatches } from './target-program.js';

export interface ImageSegment {
  /** Page-aligned. */
  address: number;
  bytes: Uint8Array;
  protection: Protection;
}

export interface EntryJump {
  function: string;
  address: number;
  oldBytes: Uint8Array;
  newBytes: Uint8Array;
}

/** A call of a function of the program, with everything that it needs. */
export interface RegistrationCall {
  function: number;
  arguments: [frames: number, object: number];
  trampoline: number;
  stack: number;
  threadPointer: number;
}

export interface LinkedPatch {
  /** To be made when the image is in place, and before the jumps. */
  registrations: RegistrationCall[];
  image: ImageSegment[];
  jumps: EntryJump[];
  /** What later patches have to know; see `rememberPatch`. */
  leaves: AppliedPatches;
}

/** Gives the image its address. `baseAddress` must be page-aligned and within `plan.placement`. */
export function linkPatch(plan: PatchPlan, baseAddress: number): LinkedPatch {
  const { lowest, highest } = plan.placement;
  if (baseAddress < lowest || baseAddress > highest || baseAddress % PAGE_SIZE !== 0) {
    const range = `0x${lowest.toString(16)} and 0x${highest.toString(16)}`;
    throw new AtlasError(
      'refused',
      `the patch cannot be at 0x${baseAddress.toString(16)}: it must start at a page between ${range}`,
    );
  }
  const image = plan.layout.parts.map((part) => ({
    address: baseAddress + part.imageOffset,
    bytes: Uint8Array.from(part.bytes),
    protection: part.protection,
  }));
  const segmentOf = new Map(plan.layout.parts.map((part, index) => [part, image[index]!]));
  const { fixups, readOnly } = plan.layout;
  for (const fixup of fixups) {
    writeFixup(fixup, segmentOf.get(fixup.part)!, baseAddress, baseAddress + readOnly.imageOffset);
  }
  const jumps = plan.functions.map(({ name, address, imageOffset }) => ({
    function: name,
    address,
    oldBytes: plan.oldEntryBytes.get(address)!,
    newBytes: encodeJump(address, baseAddress + imageOffset),
  }));
  return {
    registrations: registrations(plan, baseAddress),
    image,
    jumps,
    leaves: leftovers(plan, baseAddress),
  };
}

function registrations({ registration }: PatchPlan, base: number): RegistrationCall[] {
  if (registration === undefined) return [];
  const { registrars, frames, objects, trampoline, stack, threadPointer } = registration;
  const address = (location: Location) => base + offsetInImage(location)!;
  return registrars.map((registrar, index) => ({
    function: registrar,
    arguments: [address(frames), address(objects[index]!)],
    trampoline: address(trampoline),
    stack: address(stack),
    threadPointer: address(threadPointer),
  }));
}

/** `jmp rel32`. */
function encodeJump(from: number, to: number): Uint8Array {
  const bytes = Buffer.alloc(JUMP_SIZE);
  bytes[0] = 0xe9;
  bytes.writeInt32LE(to - (from + JUMP_SIZE), 1);
  return bytes;
}

function writeFixup(
  { offset, form, target, addend }: Fixup,
  segment: ImageSegment,
  base: number,
  table: number,
): void {
  const bytes = Buffer.from(segment.bytes.buffer, segment.bytes.byteOffset, segment.bytes.byteLength);
  const inImage = offsetInImage(target);
  const symbol = inImage === undefined ? (target as { address: number }).address : base + inImage;
  const value = symbol + addend;
  const relative = value - (segment.address + offset);
  switch (form) {
    case 'abs64':
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), offset);
      return;
    case 'pc64':
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(relative)), offset);
      return;
    case 'got64':
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value - table)), offset);
      return;
    case 'abs32':
      checkRange(value, 0, 2 ** 32 - 1);
      bytes.writeUInt32LE(value, offset);
      return;
    case 'abs32s':
      checkRange(value, -(2 ** 31), 2 ** 31 - 1);
      bytes.writeInt32LE(value, offset);
      return;
    case 'pc32':
      checkRange(relative, -(2 ** 31), 2 ** 31 - 1);
      bytes.writeInt32LE(relative, offset);
      return;
  }
}

function checkRange(value: number, low: number, high: number): void {
  if (value >= low && value <= high) return;
  throw new AtlasError(
    'refused',
    'the patch refers to an address that its instructions cannot reach',
    'Compile the changed source with the options that the running program was compiled with.',
  );
}

function leftovers(plan: PatchPlan, base: number): AppliedPatches {
  const { elf, note } = plan.patch;
  const symbols = new Map(plan.aliases);
  const bodies = new Map<string, number>();
  const replaced = new Map(plan.functions.map(({ name, address }) => [name, address]));
  const added = new Set(note.added.map(({ symbol }) => symbol));
  const outOfLine = new Map<string, AddressRange[]>();
  const { text } = plan.layout;
  for (const symbol of elf.symbols) {
    const place =
      isDefined(symbol) && symbol.type !== STT.SECTION ? plan.layout.place(symbol.section) : undefined;
    if (place === undefined) continue;
    const address = base + place.part.imageOffset + place.offset + symbol.value;
    const isCode = place.part.protection === 'rx';
    if (isCode) {
      bodies.set(symbol.name, address);
      const moved = plan.outOfLine.filter(({ section }) => section === symbol.section);
      const ranges = moved.map(({ offset, size }) => {
        const start = base + text.imageOffset + offset;
        // A thread that stands at the first byte is inside already, as it is not at a function's entry.
        return { start: start - 1, end: start + size };
      });
      outOfLine.set(symbol.name, ranges);
    }
    const original = replaced.get(symbol.name);
    if (original !== undefined) symbols.set(symbol.name, original);
    else if (added.has(symbol.name) || isGlobal(symbol) || !isCode) symbols.set(symbol.name, address);
  }
  return { symbols, bodies, outOfLine };
}

/** What earlier patches left together with what this one leaves, for `TargetProgram.applied`. */
export function rememberPatch(applied: AppliedPatches | undefined, linked: LinkedPatch): AppliedPatches {
  return {
    symbols: new Map([...(applied?.symbols ?? []), ...linked.leaves.symbols]),
    bodies: new Map([...(applied?.bodies ?? []), ...linked.leaves.bodies]),
    outOfLine: new Map([...(applied?.outOfLine ?? []), ...linked.leaves.outOfLine]),
  };
}
