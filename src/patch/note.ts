import * as v from 'valibot';
import { type ElfFile, encodeNote, SHT } from '../elf/index.js';
import { AtlasError } from '../errors/atlas-error.js';
import { FORMAT_VERSION } from './seal.js';

/**
 * What a patch file says about itself, as JSON in the note section `.note.atlas.patch`. Symbols are called by
 * qualified names: global ones by name, local ones `object:name`, in the symbol table too.
 */
export const NOTE_SECTION = '.note.atlas.patch';
export const NOTE_OWNER = 'Atlas';
export const NOTE_TYPE = 1;
/** Parsing blocks whoever does it. The notes of large servers' patches stay below 1 MiB. */
const MAXIMUM_NOTE_SIZE = 8 << 20;

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(2 ** 31));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const binding = v.picklist(['local', 'global']);

const replacedPart = v.object({
  /** Qualified name in the patch and in earlier patches. */
  symbol: v.string(),
  /** Plain name in the target's symbol table. */
  name: v.string(),
  /** All the names that the source gave it, that one included. */
  aliases: v.array(v.string()),
  binding,
  size,
  /** Of the old bytes with the masked ranges zeroed. */
  sha256,
  /** `[offset, length]` of what linking may have changed. */
  masked: v.array(v.tuple([size, size])),
  /** Of the linked bytes, when the patch was built with its target at hand. */
  linkedSha256: v.optional(sha256),
});

const patchNote = v.object({
  format: v.literal(FORMAT_VERSION),
  name: v.string(),
  buildId: v.optional(v.string()),
  functions: v.array(
    v.object({
      /** Qualified name of the new function in the patch. */
      symbol: v.string(),
      /** The object file of the old function. */
      object: v.string(),
      /** What jumps are written for, then its cold parts. */
      parts: v.pipe(v.array(replacedPart), v.minLength(1)),
    }),
  ),
  added: v.array(v.object({ symbol: v.string(), kind: v.picklist(['function', 'data']), size })),
  removed: v.array(v.string()),
  /** Local symbols of the target that the patch refers to, by qualified name. */
  imports: v.record(v.string(), v.object({ object: v.string(), name: v.string() })),
  /** How to recognise an object file among the target's local symbols: by source file and by what it defined. */
  objects: v.record(v.string(), v.object({ sourceFile: v.string(), locals: v.record(v.string(), size) })),
  /** What the compiler numbered differently: from the new qualified name to the one in the target. */
  renamed: v.record(v.string(), v.string()),
  verdicts: v.array(
    v.object({
      symbol: v.string(),
      verdict: v.picklist(['replaced', 'added', 'removed', 'warning']),
      reason: v.string(),
    }),
  ),
});

export type PatchNote = v.InferOutput<typeof patchNote>;
export type ReplacedPart = v.InferOutput<typeof replacedPart>;
export type Verdict = PatchNote['verdicts'][number];

export function encodePatchNote(note: PatchNote): Uint8Array {
  const descriptor = Buffer.from(JSON.stringify(note), 'utf8');
  return encodeNote({ owner: NOTE_OWNER, type: NOTE_TYPE, descriptor });
}

export function decodePatchNote(elf: ElfFile): PatchNote {
  const bad = (what: string, cause?: unknown) =>
    new AtlasError(
      'bad-input',
      `${elf.fileName}: ${what}`,
      'Build the patch again with "atlas patch build".',
      cause === undefined ? {} : { cause },
    );
  const section = elf.sections.find(({ name, type }) => name === NOTE_SECTION && type === SHT.NOTE);
  if (section === undefined) throw bad('not an Atlas patch: it has no note of that owner');
  if (section.size > MAXIMUM_NOTE_SIZE) throw bad(`its note of ${section.size} bytes is too large`);
  const note = elf.notes.find(({ owner, type }) => owner === NOTE_OWNER && type === NOTE_TYPE);
  if (note === undefined) throw bad('not an Atlas patch: it has no note of that owner');
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(note.descriptor).toString('utf8'));
  } catch (cause) {
    throw bad('its note is damaged', cause);
  }
  const parsed = v.safeParse(patchNote, json);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw bad(`its note is damaged: ${v.getDotPath(issue) ?? 'note'}: ${issue.message}`);
  }
  return parsed.output;
}
