import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type ElfFile, isDefined, isGlobal, readElf, STT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { diffPrograms, nameOf, type ProgramDiff } from './diff.js';
import { type Doubt, type DoubtKind, VOUCHED } from './doubts.js';
import { PatchEmitter } from './emit.js';
import { Entries } from './entries.js';
import { type InputObject, type InputSection, qualifiedName, readInputProgram } from './input-program.js';
import type { PatchNote, ReplacedPart, Verdict } from './note.js';
import { alignPaths } from './object-pairs.js';
import { readPatch } from './patch-object.js';
import { hashMasked, maskedRanges } from './relocation-effects.js';
import { FORMAT_VERSION, sealPatch } from './seal.js';
import { LocalSymbols } from './target-symbols.js';

export interface BuildOptions {
  /** Object file, or folder of object files, of the running program's source. */
  old: string;
  /** The same, of the changed source. */
  new: string;
  /** The linked executable that will be running: its build-id is then required at apply time. */
  target?: string;
  /** Kinds of doubt that the user vouches for. */
  accept?: readonly DoubtKind[];
  /** Shown by `atlas patch status`; by default the last component of `new`. */
  name?: string;
}

export interface BuildReport {
  name: string;
  replaced: { symbol: string; oldSize: number; newSize: number }[];
  added: PatchNote['added'];
  removed: string[];
  verdicts: Verdict[];
  relocations: number;
}

/** Compares two builds and makes the patch file that turns a running program of the old into the new. */
export function buildPatch(options: BuildOptions): { bytes: Uint8Array; report: BuildReport } {
  const old = readInputProgram(options.old);
  const fresh = readInputProgram(options.new);
  alignPaths(old, fresh);
  const diff = diffPrograms(old, fresh);
  const isUnchanged = diff.replaced.length === 0 && diff.addedFunctions.length === 0;
  if (isUnchanged && diff.reasons.length === 0) {
    throw new AtlasError(
      'nothing-to-do',
      `${options.old} and ${options.new}: no function differs`,
      'Check that the changed source was compiled, with the same options.',
    );
  }
  const emitter = new PatchEmitter(old, fresh, diff);
  if (diff.reasons.length === 0) emitter.carryAll();
  const isAccepted = ({ kind }: Doubt) => options.accept?.includes(kind) ?? false;
  const open = diff.doubts.filter((doubt) => !isAccepted(doubt));
  refuse([...diff.reasons, ...emitter.reasons], open);

  const target = options.target === undefined ? undefined : readTarget(options.target);
  const note = makeNote(options, diff, emitter, target);
  const bytes = sealPatch(emitter.finish(note));
  readPatch(bytes, note.name);
  const report: BuildReport = {
    name: note.name,
    replaced: diff.replaced.map((change) => ({
      symbol: nameOf(change.new[0]),
      oldSize: totalSize(change.old),
      newSize: totalSize(change.new),
    })),
    added: note.added,
    removed: note.removed,
    verdicts: note.verdicts,
    relocations: emitter.relocationCount,
  };
  return { bytes, report };
}

function refuse(reasons: readonly string[], doubts: readonly Doubt[] = []): void {
  const all = new Set([...reasons, ...doubts.map(({ text }) => text)]);
  if (all.size === 0) return;
  const kinds = [...new Set(doubts.map(({ kind }) => kind))];
  const vouch = kinds.map((kind) => `--accept ${kind} (${VOUCHED[kind]})`).join(', ');
  throw new AtlasError(
    'refused',
    `this change cannot be patched into a running program:\n${[...all].map((reason) => `  ${reason}`).join('\n')}`,
    'Change the source so that these stay as they are, or restart the program.' +
      (reasons.length > 0 || doubts.length === 0 ? '' : ` If you know that it is harmless: ${vouch}.`),
  );
}

function readTarget(path: string): ElfFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new AtlasError('bad-input', `${path}: cannot be read`, 'Check the path.', { cause });
  }
  return readElf(bytes, path);
}

const totalSize = (parts: readonly InputSection[]) => parts.reduce((sum, part) => sum + part.header.size, 0);

function makeNote(
  options: BuildOptions,
  diff: ProgramDiff,
  emitter: PatchEmitter,
  target: ElfFile | undefined,
): PatchNote {
  const verdicts: Verdict[] = [];
  const objects: PatchNote['objects'] = {};
  const imports: PatchNote['imports'] = {};
  for (const [name, { object, name: local }] of emitter.localImports) {
    objects[object.path] = describeObject(object);
    imports[name] = { object: object.path, name: local };
  }
  const functions = diff.replaced.map((change): PatchNote['functions'][number] => {
    const { object } = change.old[0];
    objects[object.path] = describeObject(object);
    return { symbol: nameOf(change.new[0]), object: object.path, parts: change.old.map(describePart) };
  });
  if (target !== undefined) {
    const linked = { elf: target, locals: new LocalSymbols(target, objects), entries: new Entries(target) };
    refuse(functions.flatMap(({ parts, object }) => recordLinked(parts, object, linked, verdicts)));
  }
  for (const { old, new: parts } of diff.replaced) {
    const sizes = `${totalSize(old)} bytes become ${totalSize(parts)}`;
    verdicts.push({ symbol: nameOf(parts[0]), verdict: 'replaced', reason: sizes });
  }
  const added: PatchNote['added'] = [
    ...diff.addedFunctions.map((section) => describeAdded(section, 'function')),
    ...diff.addedData.map((section) => describeAdded(section, 'data')),
  ];
  for (const { symbol, kind, size } of added) {
    verdicts.push({ symbol, verdict: 'added', reason: `new ${kind}, ${size} bytes` });
  }
  for (const symbol of diff.removed) {
    verdicts.push({ symbol, verdict: 'removed', reason: 'stays in the running program, unused' });
  }
  for (const { kind, symbol, text } of diff.doubts) {
    verdicts.push({ symbol, verdict: 'warning', reason: `accepted (${kind}): ${text}` });
  }
  for (const warning of diff.warnings) verdicts.push({ ...warning, verdict: 'warning' });
  for (const symbol of diff.untypedObjects) {
    const reason = 'no debug information (-g) in both builds: changed layouts of types would go unnoticed';
    verdicts.push({ symbol, verdict: 'warning', reason });
  }
  const buildId = target?.buildId;
  return {
    format: FORMAT_VERSION,
    name: options.name ?? basename(options.new).replace(/\.o$/, ''),
    ...(buildId === undefined ? {} : { buildId }),
    functions,
    added,
    removed: diff.removed,
    imports,
    objects,
    renamed: renamedSymbols(diff),
    verdicts,
  };
}

function describeObject(object: InputObject): PatchNote['objects'][string] {
  const locals: Record<string, number> = {};
  for (const symbol of object.elf.symbols) {
    const isNamedThing = symbol.type === STT.FUNC || symbol.type === STT.OBJECT || symbol.type === STT.TLS;
    if (isNamedThing && isDefined(symbol) && !isGlobal(symbol)) locals[symbol.name] = symbol.size;
  }
  return { sourceFile: object.sourceFile, locals };
}

function describePart(section: InputSection): ReplacedPart {
  const symbol = section.primary!;
  // Hand-written assembly may leave the size out.
  const size = symbol.size || section.header.size - symbol.value;
  // Room for other tools' patches may come first (-fpatchable-function-entry=N,M).
  const start = symbol.value;
  const bytes = section.bytes.subarray(start, start + size);
  const relocations = section.relocations.map(({ offset, type }) => ({ offset: offset - start, type }));
  const masked = maskedRanges(bytes, relocations, size);
  return {
    symbol: qualifiedName(section.object, symbol),
    name: symbol.name,
    aliases: section.symbols.filter(({ value }) => value === start).map(({ name }) => name),
    binding: isGlobal(symbol) ? 'global' : 'local',
    size,
    sha256: hashMasked(bytes, masked),
    masked,
  };
}

function describeAdded(section: InputSection, kind: 'function' | 'data'): PatchNote['added'][number] {
  return { symbol: nameOf(section), kind, size: section.header.size };
}

/** Notes how the parts stand in the linked target, when they do: on top of an earlier patch they may not. */
function recordLinked(
  parts: ReplacedPart[],
  object: string,
  { elf, locals, entries }: { elf: ElfFile; locals: LocalSymbols; entries: Entries },
  verdicts: Verdict[],
): string[] {
  const reasons: string[] = [];
  for (const part of parts) {
    const symbol =
      part.binding === 'local'
        ? locals.find(object, part.name)
        : (elf.symbolsNamed(part.name).find((candidate) => isDefined(candidate) && isGlobal(candidate)) ??
          locals.hidden(part.name));
    const bytes = symbol && elf.bytesAt(symbol.value, part.size);
    if (bytes !== undefined && symbol?.size === part.size && hashMasked(bytes, part.masked) === part.sha256) {
      part.linkedSha256 = hashMasked(bytes, []);
      reasons.push(...entries.problemsAt(symbol, part, part === parts[0]));
    } else {
      verdicts.push({
        symbol: part.symbol,
        verdict: 'warning',
        reason: `${elf.fileName} has other code there: the patch fits only on top of an earlier patch`,
      });
    }
  }
  return reasons;
}

function renamedSymbols(diff: ProgramDiff): PatchNote['renamed'] {
  const renamed: PatchNote['renamed'] = {};
  for (const [fresh, old] of diff.pairs) {
    const [freshName, oldName] = [nameOf(fresh), nameOf(old)];
    if (freshName !== oldName) renamed[freshName] = oldName;
  }
  return renamed;
}
