import type { ImageLayout, Location } from './image-layout.js';

/** What the image has of its own to reach what is far away: a global offset table, and stubs that jump through it. */
export class ImageTables {
  readonly #layout: ImageLayout;
  readonly #slots = new Map<string, number>();
  readonly #stubs = new Map<string, number>();
  #hasStart = false;

  constructor(layout: ImageLayout) {
    this.#layout = layout;
  }

  /** Where `got64` fields count from. Nothing is there: it has to be in the image, no more. */
  start(): Location {
    const part = this.#layout.readOnly;
    if (!this.#hasStart && part.size === 0) part.reserve(8, 8);
    this.#hasStart = true;
    return { part, offset: 0 };
  }

  /** An 8-byte entry that holds an address. */
  slot(key: string, target: Location): Location {
    const part = this.#layout.readOnly;
    let offset = this.#slots.get(key);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#slots.set(key, offset);
      this.#layout.fixups.push({ part, offset, form: 'abs64', target, addend: 0 });
    }
    return { part, offset };
  }

  /** An 8-byte entry that holds a number. */
  constant(key: string, value: number): Location {
    const part = this.#layout.readOnly;
    let offset = this.#slots.get(key);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#slots.set(key, offset);
      part.bytes.writeBigInt64LE(BigInt(value), offset);
    }
    return { part, offset };
  }

  /** `jmp *slot(%rip)`, as in a procedure linkage table. */
  stub(name: string, slot: Location): Location {
    const part = this.#layout.text;
    let offset = this.#stubs.get(name);
    if (offset === undefined) {
      offset = part.reserve(8, 8);
      this.#stubs.set(name, offset);
      part.bytes.set([0xff, 0x25, 0, 0, 0, 0, 0x66, 0x90], offset);
      this.#layout.fixups.push({ part, offset: offset + 2, form: 'pc32', target: slot, addend: -4 });
    }
    return { part, offset };
  }
}
