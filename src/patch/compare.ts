import { type ElfRelocation, SHT } from '../elf/index.js';
import { AnonymousPieces, equalUpToPadding } from './anonymous-pieces.js';
import { categoryOf, type InputProgram, type InputSection } from './input-program.js';
import { type Reference, referenceOf } from './references.js';

/** Decides whether sections of two builds say the same, given which of their sections correspond. */
export class Comparison {
  readonly #pieces = new AnonymousPieces();
  readonly #verdicts = new Map<InputSection, Map<InputSection, boolean>>();

  constructor(
    readonly old: InputProgram,
    readonly fresh: InputProgram,
    /** From sections of the new build to their counterparts in the old. */
    readonly pairs: ReadonlyMap<InputSection, InputSection>,
  ) {}

  /** Same bytes, and relocations at the same places to the same things. */
  sameContent(old: InputSection, fresh: InputSection): boolean {
    const known = this.#verdicts.get(old)?.get(fresh);
    if (known !== undefined) return known;
    // Anonymous tables refer back to code by identity, never to one another in circles that matter: while a pair
    // is being compared, assume it equal.
    const verdicts = this.#verdicts.get(old) ?? new Map<InputSection, boolean>();
    this.#verdicts.set(old, verdicts);
    verdicts.set(fresh, true);
    const same = this.#compare(old, fresh);
    verdicts.set(fresh, same);
    return same;
  }

  #compare(old: InputSection, fresh: InputSection): boolean {
    if (old.header.size !== fresh.header.size) return false;
    if ((old.header.type === SHT.NOBITS) !== (fresh.header.type === SHT.NOBITS)) return false;
    if (old.relocations.length !== fresh.relocations.length) return false;
    if (Buffer.compare(old.bytes, fresh.bytes) !== 0) return false;
    return old.relocations.every((relocation, index) =>
      this.#sameRelocation(old, relocation, fresh, fresh.relocations[index]!),
    );
  }

  #sameRelocation(old: InputSection, a: ElfRelocation, fresh: InputSection, b: ElfRelocation): boolean {
    if (a.offset !== b.offset || a.type !== b.type) return false;
    return this.sameReference(referenceOf(old, a, this.old), referenceOf(fresh, b, this.fresh));
  }

  sameReference(a: Reference, b: Reference): boolean {
    if (a.kind === 'global' && b.kind === 'global') {
      return a.addend === b.addend && this.#sameGlobal(a, b);
    }
    if (a.kind === 'section' && b.kind === 'section') {
      return (
        a.offset === b.offset && this.pairs.get(b.section) === a.section && sameLayout(a.section, b.section)
      );
    }
    if (a.kind === 'anonymous' && b.kind === 'anonymous') {
      if (a.offset === b.offset && this.sameContent(a.section, b.section)) return true;
      return this.#samePiece(a, b);
    }
    if (a.kind === 'literal' && b.kind === 'literal') {
      return a.addend === b.addend && Buffer.compare(a.content, b.content) === 0;
    }
    return a.kind === 'absolute' && b.kind === 'absolute' && a.value === b.value;
  }

  /** A global that this program defines is known by its section, since it may be numbered; others by their name. */
  #sameGlobal(a: GlobalReference, b: GlobalReference): boolean {
    const isKnown = ({ definition }: GlobalReference) =>
      definition !== undefined && categoryOf(definition) !== undefined;
    if (a.symbol.name === b.symbol.name && !(isKnown(a) && isKnown(b))) return isKnown(a) === isKnown(b);
    if (!isKnown(a) || !isKnown(b)) return false;
    const sameSection = this.pairs.get(b.definition!) === a.definition;
    return sameSection && (a.symbol.name === b.symbol.name || a.symbol.value === b.symbol.value);
  }

  /** Compares what two references mean when their sections differ, perhaps elsewhere. */
  #samePiece(a: AnonymousReference, b: AnonymousReference): boolean {
    const old = this.#pieces.pieceAt(a.section, a.user, a.relocation);
    const fresh = this.#pieces.pieceAt(b.section, b.user, b.relocation);
    const oldBytes = a.section.bytes.subarray(old.start, old.end);
    const freshBytes = b.section.bytes.subarray(fresh.start, fresh.end);
    const alignment = Math.max(a.section.header.alignment, b.section.header.alignment);
    if (old.start < 0 || fresh.start < 0 || !equalUpToPadding(oldBytes, freshBytes, alignment)) return false;
    const inPiece = (section: InputSection, { start, end }: { start: number; end: number }) =>
      section.relocations
        .filter(({ offset }) => offset >= start && offset < end)
        .map((relocation) => ({ relocation, at: relocation.offset - start }));
    const oldRelocations = inPiece(a.section, old);
    const freshRelocations = inPiece(b.section, fresh);
    return (
      oldRelocations.length === freshRelocations.length &&
      oldRelocations.every(({ relocation, at }, index) => {
        const other = freshRelocations[index]!;
        if (at !== other.at || relocation.type !== other.relocation.type) return false;
        const reference = referenceOf(a.section, relocation, this.old);
        return this.sameReference(reference, referenceOf(b.section, other.relocation, this.fresh));
      })
    );
  }
}

type GlobalReference = Extract<Reference, { kind: 'global' }>;
type AnonymousReference = Extract<Reference, { kind: 'anonymous' }>;

/** True when an offset means the same thing in both: trivially so when each holds one function or variable. */
export function sameLayout(old: InputSection, fresh: InputSection): boolean {
  if (!old.isShared && !fresh.isShared) return true;
  const layout = (section: InputSection) =>
    section.symbols.map((symbol) => `${symbol.name}@${symbol.value}+${symbol.size}`).sort();
  return layout(old).join() === layout(fresh).join();
}
