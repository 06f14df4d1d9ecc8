import { type ElfSymbol, SHN, STB } from '../elf/index.js';
import type { ImageLayout, Location } from './image-layout.js';
import type { PatchObject } from './patch-object.js';
import type { TargetResolver, TargetSymbol } from './target-program.js';

/** A place in the image or the program, or something the program knows in its own way. */
export type SymbolValue =
  | { kind: 'place'; place: Location }
  | Exclude<TargetSymbol, { kind: 'address' | 'unusable' }>;

/** What the symbols of a patch are in the running program. What cannot be told becomes a reason, once. */
export class SymbolValues {
  readonly #patch: PatchObject;
  readonly #resolver: TargetResolver;
  readonly #layout: ImageLayout;
  readonly #reasons: Set<string>;
  readonly #known = new Map<number, SymbolValue | undefined>();

  constructor(patch: PatchObject, resolver: TargetResolver, layout: ImageLayout, reasons: Set<string>) {
    this.#patch = patch;
    this.#resolver = resolver;
    this.#layout = layout;
    this.#reasons = reasons;
  }

  of(symbol: ElfSymbol): SymbolValue | undefined {
    if (!this.#known.has(symbol.index)) this.#known.set(symbol.index, this.#resolve(symbol));
    return this.#known.get(symbol.index);
  }

  /** What a table entry of the program leads to; the dynamic linker may not have filled it in yet. */
  pointee(symbol: ElfSymbol, { slot, isLazy }: { slot: number; isLazy: boolean }): Location | undefined {
    const address = this.#resolver.pointee(slot, isLazy);
    if (address !== undefined) return { address };
    const found = this.#resolver.inLibraries(symbol.name);
    if (found?.kind === 'address') return { address: found.address };
    if (symbol.binding === STB.WEAK) return { address: 0 };
    const why = found?.kind === 'unusable' ? found.why : 'its address in a shared library is not known';
    this.#reasons.add(`${symbol.name}: missing symbol: ${why}`);
    return undefined;
  }

  #resolve(symbol: ElfSymbol): SymbolValue | undefined {
    if (symbol.section === SHN.ABS) return { kind: 'place', place: { address: symbol.value } };
    if (symbol.section !== SHN.UNDEF) {
      const place = this.#layout.place(symbol.section);
      if (place !== undefined) {
        return { kind: 'place', place: { part: place.part, offset: place.offset + symbol.value } };
      }
    } else {
      const found = this.#resolver.find(symbol.name);
      if (found?.kind === 'unusable') {
        this.#reasons.add(`${symbol.name}: missing symbol: ${found.why}`);
        return undefined;
      }
      if (found?.kind === 'address') return { kind: 'place', place: { address: found.address } };
      if (found !== undefined) return found;
      // An undefined weak symbol is null (gABI, "Symbol Table").
      if (symbol.binding === STB.WEAK) return { kind: 'place', place: { address: 0 } };
    }
    this.#missing(symbol);
    return undefined;
  }

  #missing(symbol: ElfSymbol): void {
    const { elf } = this.#resolver.target;
    const why = elf.hasSymbolTable ? 'the running program does not define it' : `${elf.fileName} is stripped`;
    const local = this.#patch.imports.get(symbol.name);
    const isAmbiguous = local && this.#resolver.locals.candidates(local.object, local.name).length > 1;
    this.#reasons.add(
      isAmbiguous
        ? `${symbol.name}: several local symbols of that name cannot be told apart`
        : `${symbol.name}: missing symbol: ${why}`,
    );
  }
}
