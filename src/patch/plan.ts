import { isDefined, STB, STT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { JUMP_SIZE } from './diff.js';
import { ImageLayout, type Location, PAGE_SIZE, type Protection } from './image-layout.js';
import type { PatchNote, ReplacedPart } from './note.js';
import type { PatchObject } from './patch-object.js';
import { hashMasked } from './relocation-effects.js';
import { type OutOfLine, Relocator } from './relocate.js';
import { TargetResolver, type TargetProgram } from './target-program.js';
import { planRegistration, type Registration } from './unwinding.js';

export interface AddressRange {
  start: number;
  end: number;
}

export interface PlannedFunction {
  /** Qualified name. */
  name: string;
  /**
   * Where all callers enter it and where the jump goes: the original function's address. Of a function that an
   * earlier patch added, it lies in that patch's image.
   */
  address: number;
  /** The code that a thread must have left before it is quiescent: cold parts and earlier patches' code too. */
  ranges: AddressRange[];
  /** Of the new function, from the image's start. */
  imageOffset: number;
}

/** Everything decided and checked; only the image's address is open. Nothing has been touched. */
export interface PatchPlan {
  patch: PatchObject;
  /** Bytes of address space for the image, a multiple of the page size. */
  size: number;
  parts: { protection: Protection; offset: number; size: number }[];
  /** Page-aligned addresses between which the image may start. */
  placement: { lowest: number; highest: number };
  functions: PlannedFunction[];
  /** @internal */
  layout: ImageLayout;
  /** @internal The running bytes where the jumps go. */
  oldEntryBytes: Map<number, Uint8Array>;
  /** @internal Code of functions that lies elsewhere in the image's text. */
  outOfLine: readonly OutOfLine[];
  /** @internal How the patch's frames become known to the program's unwinder. */
  registration: Registration | undefined;
  /** @internal Other names for what the program has: renumbered statics of the new build. */
  aliases: Map<string, number>;
}

/** User addresses end at 2^47; page 0 is not for mapping. */
const LOWEST_ADDRESS = 0x10000;
const HIGHEST_ADDRESS = 2 ** 47 - PAGE_SIZE;

/**
 * Checks a patch against the running program, and decides everything but the image's address. Throws
 * `refused` with every reason there is.
 */
export function planPatch(patch: PatchObject, target: TargetProgram): PatchPlan {
  const { note } = patch;
  const { elf } = target;
  if (note.buildId !== undefined && note.buildId !== elf.buildId) {
    refuse(
      [`the patch is for build ${note.buildId}, and ${elf.fileName} is build ${elf.buildId ?? 'of no id'}`],
      'Build the patch with the running executable as --target.',
    );
  }
  const resolver = new TargetResolver(patch, target);
  const reasons: string[] = [];
  const layout = new ImageLayout(patch.elf);
  const functions: PlannedFunction[] = [];
  const oldEntries = new Map<string, number>();
  const starts: { planned: PlannedFunction; start: Location & object }[] = [];
  const oldEntryBytes = new Map<number, Uint8Array>();

  const symbols = new Map(patch.elf.symbols.filter(isDefined).map((symbol) => [symbol.name, symbol]));
  for (const change of note.functions) {
    const found = findReplaced(change, resolver, reasons);
    const symbol = symbols.get(change.symbol);
    const place = symbol && layout.place(symbol.section);
    if (found === undefined || symbol === undefined || place === undefined) continue;
    const planned: PlannedFunction = { name: change.symbol, ...found, imageOffset: 0 };
    functions.push(planned);
    starts.push({ planned, start: { part: place.part, offset: place.offset + symbol.value } });
    oldEntries.set(`${symbol.section}+${symbol.value}`, found.address);
    oldEntryBytes.set(found.address, Uint8Array.from(target.readText(found.address, JUMP_SIZE)));
  }
  reasons.push(...overlaps(functions), ...shadowed(patch, resolver));
  const relocator = new Relocator(patch, resolver, layout, oldEntries);
  relocator.relocateAll();
  reasons.push(...relocator.reasons);
  const unwinders = target.libraries?.unwinders();
  const registration = unwinders && planRegistration(patch, unwinders, layout, reasons);
  refuse(
    reasons,
    'Give a patch that was built from the sources of the running program, or restart the program.',
  );

  const size = layout.seal();
  for (const { planned, start } of starts) planned.imageOffset = offsetInImage(start)!;
  const aliases = new Map<string, number>();
  for (const [name, oldName] of Object.entries(note.renamed)) {
    const found = resolver.find(oldName);
    if (found?.kind === 'address') aliases.set(name, found.address);
  }
  return {
    patch,
    size,
    parts: layout.parts.map((part) => ({
      protection: part.protection,
      offset: part.imageOffset,
      size: part.size,
    })),
    placement: placementOf(layout, functions),
    functions,
    layout,
    oldEntryBytes,
    aliases,
    outOfLine: relocator.outOfLine,
    registration,
  };
}

function refuse(reasons: readonly string[], advice: string): void {
  if (reasons.length === 0) return;
  const list = [...new Set(reasons)].map((reason) => `  ${reason}`).join('\n');
  throw new AtlasError('refused', `the patch does not fit the running program:\n${list}`, advice);
}

type Found = Pick<PlannedFunction, 'address' | 'ranges'>;

/** Finds a replaced function in the running program and compares its bytes with those the patch was built from. */
function findReplaced(
  change: PatchNote['functions'][number],
  resolver: TargetResolver,
  reasons: string[],
): Found | undefined {
  const places = change.parts.map((part) => findPart(part, change, resolver, reasons));
  const [entry] = places;
  if (entry === undefined || places.includes(undefined)) return undefined;
  const ranges = change.parts.map((part, index) => {
    const start = places[index]!.body;
    return { start, end: start + part.size };
  });
  const { address, body } = entry;
  if (body !== address) ranges.push({ start: address, end: address + JUMP_SIZE });
  for (const part of change.parts)
    ranges.push(...(resolver.target.applied?.outOfLine.get(part.symbol) ?? []));
  return { address, ranges };
}

/** Two functions in one place: neither could be told from the other. */
function overlaps(functions: readonly PlannedFunction[]): string[] {
  const entries = functions
    .map(({ name, address }) => ({ name, start: address, end: address + JUMP_SIZE }))
    .concat(functions.flatMap(({ name, ranges }) => ranges.map((range) => ({ name, ...range }))))
    .sort((a, b) => a.start - b.start);
  const reasons: string[] = [];
  let last: (typeof entries)[number] | undefined;
  for (const entry of entries) {
    if (last !== undefined && entry.start < last.end && entry.name !== last.name) {
      reasons.push(`${entry.name} and ${last.name} are in one place in the running program`);
    }
    if (last === undefined || entry.end > last.end) last = entry;
  }
  return reasons;
}

/** New things whose names somebody else goes on using for what the program has already. */
function shadowed(patch: PatchObject, resolver: TargetResolver): string[] {
  const added = new Set(patch.note.added.map(({ symbol }) => symbol));
  const reasons: string[] = [];
  for (const { name, binding } of patch.elf.symbols.filter(isDefined)) {
    // Of several weak definitions (C++ templates and inline functions) all are the same.
    if (binding !== STB.GLOBAL || !added.has(name) || resolver.target.applied?.symbols.has(name)) continue;
    const library = resolver.target.libraries?.userOf(name);
    if (resolver.global(name) !== undefined) {
      reasons.push(`${name}: new in these object files, and the running program has another one already`);
    } else if (library !== undefined) {
      reasons.push(`${name}: the library ${library} would have to use the new one from now on`);
    }
  }
  return reasons;
}

interface FoundPart {
  /** Where the program's callers enter. */
  address: number;
  /** Where its current code is: elsewhere when an earlier patch replaced it. */
  body: number;
}

function findPart(
  part: ReplacedPart,
  { object, parts }: PatchNote['functions'][number],
  resolver: TargetResolver,
  reasons: string[],
): FoundPart | undefined {
  const { target } = resolver;
  const patched = target.applied?.bodies.get(part.symbol);
  if (patched !== undefined) {
    const found = { address: originalAddress(part, object, resolver) ?? patched, body: patched };
    if (hasBytes(part, patched, target)) return found;
    reasons.push(`${part.symbol}: an earlier patch replaced it by other code than this patch was built from`);
    return undefined;
  }
  const candidates = candidatesFor(part, object, resolver);
  if (candidates.length === 0) {
    const why = target.elf.hasSymbolTable
      ? 'the running program does not define it'
      : 'the executable is stripped';
    reasons.push(`${part.symbol}: missing symbol: ${why}`);
    return undefined;
  }
  const matching = candidates.filter((symbol) => {
    const sameSize = symbol.size === 0 || symbol.size === part.size;
    return sameSize && hasBytes(part, symbol.value + target.loadBias, target);
  });
  const [symbol] = matching;
  if (symbol === undefined) {
    reasons.push(`${part.symbol}: the running program has other bytes there than the patch was built from`);
    return undefined;
  }
  if (matching.some((other) => other.value !== symbol.value)) {
    reasons.push(`${part.symbol}: several local symbols of that name cannot be told apart`);
    return undefined;
  }
  if (part.binding === 'local') resolver.locals.settle(object, part.name, symbol);
  const problems = resolver.entries.problemsAt(symbol, part, part === parts[0]);
  if (problems.length > 0) {
    reasons.push(...problems);
    return undefined;
  }
  const address = symbol.value + target.loadBias;
  return { address, body: address };
}

function candidatesFor(part: ReplacedPart, object: string, resolver: TargetResolver) {
  if (part.binding === 'local') {
    return resolver.locals
      .candidates(object, part.name)
      .filter(({ type }) => type === STT.FUNC || type === STT.NOTYPE);
  }
  const symbol = resolver.global(part.name);
  return symbol === undefined ? [] : [symbol];
}

/** Of a function whose code an earlier patch replaced; undefined when that patch had added it. */
function originalAddress(part: ReplacedPart, object: string, resolver: TargetResolver): number | undefined {
  const { target } = resolver;
  const applied = target.applied?.symbols.get(part.symbol);
  if (applied !== undefined) return applied;
  const [symbol] = candidatesFor(part, object, resolver);
  return symbol && symbol.value + target.loadBias;
}

function hasBytes(part: ReplacedPart, address: number, target: TargetProgram): boolean {
  const bytes = target.readText(address, part.size);
  return bytes.length === part.size && hashMasked(bytes, part.masked) === part.sha256;
}

/** From the image's start; undefined for a fixed address. */
export function offsetInImage(location: Location): number | undefined {
  return 'part' in location ? location.part.imageOffset + location.offset : undefined;
}

/** Where the image can be so that every 32-bit field reaches its target. */
function placementOf(layout: ImageLayout, functions: readonly PlannedFunction[]): PatchPlan['placement'] {
  let lowest = LOWEST_ADDRESS;
  let highest = HIGHEST_ADDRESS;
  const bound = (low: number, high: number) => {
    lowest = Math.max(lowest, low);
    highest = Math.min(highest, high);
  };
  for (const { part, offset, form, target, addend } of layout.fixups) {
    const inImage = offsetInImage(target);
    const field = part.imageOffset + offset;
    if (form === 'pc32' && 'address' in target) {
      const top = target.address + addend - field;
      bound(top - (2 ** 31 - 1), top + 2 ** 31);
    } else if (form === 'abs32' && inImage !== undefined) {
      bound(0, 2 ** 32 - 1 - inImage - addend);
    } else if (form === 'abs32s' && inImage !== undefined) {
      bound(0, 2 ** 31 - 1 - inImage - addend);
    }
  }
  for (const { address, imageOffset } of functions) {
    const next = address + JUMP_SIZE - imageOffset;
    bound(next - 2 ** 31, next + (2 ** 31 - 1));
  }
  lowest = Math.ceil(lowest / PAGE_SIZE) * PAGE_SIZE;
  highest = Math.floor(highest / PAGE_SIZE) * PAGE_SIZE;
  if (lowest > highest) {
    refuse(
      ['no address is close enough to everything that the patch refers to'],
      'Compile the changed source with -fPIC, so that it refers to shared libraries through a table.',
    );
  }
  return { lowest, highest };
}
