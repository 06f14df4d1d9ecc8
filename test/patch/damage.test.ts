import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import {
  R_X86_64,
  readElf,
  RelocatableWriter,
  type SectionDraft,
  SHF,
  SHT,
  STB,
  STT,
} from '../../src/elf/index.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import {
  buildPatch,
  inspectPatch,
  linkPatch,
  type PatchNote,
  planPatch,
  readPatch,
  type TargetProgram,
} from '../../src/patch/index.js';
import { encodePatchNote, NOTE_SECTION } from '../../src/patch/note.js';
import { FORMAT_VERSION, MAXIMUM_FILE_SIZE, sealPatch, unsealPatch } from '../../src/patch/seal.js';
import { Workshop } from './compile.js';

const SOURCE = `
#include <stdio.h>
static int secret = 1;
static __attribute__((noinline)) int inner(int x) { return x * 5 + secret; }
__attribute__((noinline)) int outer(int x) { secret++; puts("outer"); return inner(x) + 1; }
int main(int c, char **v) { return outer(c); }
`;

let workshop: Workshop;
let patch: Uint8Array;
let fresh: string;
let old: string;
let target: TargetProgram;

before(() => {
  workshop = new Workshop();
  old = workshop.object('old', SOURCE);
  fresh = workshop.object('new', SOURCE.replace('x * 5', 'x * 7').replace('+ 1;', '+ 2;'));
  const program = workshop.link('program', [old]);
  patch = buildPatch({ old, new: fresh, target: program }).bytes;
  const elf = readElf(readFileSync(program), program);
  const readText = (address: number, length: number) =>
    Uint8Array.from(elf.bytesAt(address, length) ?? new Uint8Array(0));
  target = { elf, loadBias: 0, readText };
});
after(() => workshop[Symbol.dispose]());

function badInput(pattern: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof AtlasError, String((error as Error).stack));
    assert.equal(error.kind, 'bad-input', error.message);
    assert.match(error.message, pattern);
    assert.notEqual(error.advice, '');
    return true;
  };
}

describe('a patch file that is not as it was written', () => {
  test('with any byte changed', () => {
    for (let at = 0; at < patch.length; at++) {
      const damaged = Uint8Array.from(patch);
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      assert.throws(() => readPatch(damaged, 'p'), badInput(/damaged/), `byte ${at}`);
    }
  });

  test('cut off anywhere', () => {
    for (let length = 0; length < patch.length; length++) {
      assert.throws(() => readPatch(patch.subarray(0, length), 'p'), badInput(/damaged|not an Atlas patch/));
    }
  });

  test('with something behind it, or written twice', () => {
    for (const more of [Uint8Array.of(0), new Uint8Array(48), patch]) {
      assert.throws(() => readPatch(Buffer.concat([patch, more]), 'p'), badInput(/damaged/));
    }
  });

  test('larger than any patch', () => {
    assert.throws(() => readPatch(new Uint8Array(MAXIMUM_FILE_SIZE + 1), 'p'), badInput(/too many/));
  });

  test('of the first format, which had no hash', () => {
    const object = Buffer.from(unsealPatch(patch, 'p'));
    const at = object.indexOf(`{"format":${FORMAT_VERSION},`);
    object.write('{"format":1,', at);
    assert.throws(() => readPatch(object, 'p'), badInput(/format 1, from an earlier version/));
  });

  test('of a format that is not known yet', () => {
    const next = Buffer.from(patch);
    next.writeUInt32LE(FORMAT_VERSION + 1, next.length - 40);
    next.set(createHash('sha256').update(next.subarray(0, -32)).digest(), next.length - 32);
    assert.throws(() => readPatch(next, 'p'), badInput(/format 3, and this version of Atlas reads format 2/));
  });

  test('an object file or executable is no patch', () => {
    for (const file of [old, workshop.path('program')]) {
      assert.throws(() => readPatch(readFileSync(file), file), badInput(/not an Atlas patch/));
    }
  });

  test('an unharmed one is an ELF object for other tools', () => {
    const symbols = execFileSync('nm', [workshop.write('whole.atlas', patch)], { encoding: 'utf8' });
    assert.match(symbols, / T outer$/m);
  });
});

describe('a patch file with the right hash and something wrong in it', () => {
  test('any bytes changed: bad input or refused, and nothing else', () => {
    const object = unsealPatch(patch, 'p');
    const change = fc.tuple(
      fc.integer({ min: 0, max: object.length - 1 }),
      fc.oneof(fc.constantFrom(0, 0xff, 0x80, 0x7f), fc.nat(255)),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const damaged = Uint8Array.from(object);
        for (const [at, value] of changes) damaged[at] = value;
        useFully(sealPatch(damaged));
      }),
      { numRuns: 3000 },
    );
  });

  const cases: [what: string, reason: RegExp, make: (hostile: Hostile) => void][] = [
    [
      '200,000 functions',
      /note of \d+ bytes is too large|functions are too many/,
      (h) => h.functions(200_000),
    ],
    ['25,000 functions', /25000 functions are too many/, (h) => h.functions(25_000)],
    ['a note of 10 MB', /note of \d+ bytes is too large/, (h) => (h.note.name = 'x'.repeat(10 << 20))],
    ['a function twice', /replaces f0 twice/, (h) => h.note.functions.push(h.note.functions[0]!)],
    ['a function that is not there', /names gone but does not contain it/, (h) => (h.first.symbol = 'gone')],
    ['a function of data', /f0 is not code/, (h) => (h.code.flags = SHF.ALLOC | SHF.WRITE)],
    ['a function of 2 GiB', /replaced functions are too large/, (h) => (h.first.parts[0]!.size = 2 ** 31)],
    ['a negative size', /note is damaged/, (h) => (h.first.parts[0]!.size = -1)],
    ['no parts', /note is damaged/, (h) => (h.first.parts = [])],
    ['a mask outside', /masked ranges/, (h) => (h.first.parts[0]!.masked = [[0, 1000]])],
    [
      'masks that overlap',
      /masked ranges/,
      (h) =>
        (h.first.parts[0]!.masked = [
          [0, 8],
          [4, 4],
        ]),
    ],
    ['a symbol outside', /f0 lies outside its section/, (h) => (h.symbol.size = 2 ** 40)],
    ['a symbol beyond', /f0 lies outside its section/, (h) => (h.symbol.value = 17)],
    ['a symbol twice', /defines f0 twice/, (h) => h.writer.symbol(h.symbol)],
    ['a huge .bss', /too large/, (h) => h.section('.bss.x', SHT.NOBITS, SHF.ALLOC | SHF.WRITE, 2 ** 40)],
    ['many large .bss', /too large/, (h) => h.manySections(40, 16 << 20)],
    ['a strange alignment', /impossible alignment/, (h) => (h.code.alignment = 3)],
    ['a huge alignment', /impossible alignment/, (h) => (h.code.alignment = 8192)],
    ['thread-local data', /thread-local/, (h) => h.section('.tbss', SHT.NOBITS, SHF.ALLOC | SHF.TLS, 8)],
    ['a strange section', /of an unknown type/, (h) => h.section('.x', 0x12345, SHF.ALLOC, 8)],
    ['a relocation outside', /relocation lies outside/, (h) => h.relocation(R_X86_64[64], 9)],
    ['a relocation in nothing', /relocation lies outside/, (h) => h.relocation(R_X86_64[64], 2 ** 50)],
    ['an unknown relocation', /unknown relocation \(relocation type 200\)/, (h) => h.relocation(200, 0)],
  ];
  for (const [what, reason, make] of cases) {
    test(what, () => {
      const hostile = new Hostile();
      make(hostile);
      assert.throws(() => readPatch(hostile.bytes(), 'p'), badInput(reason));
    });
  }

  test('sections that lie over each other in the file', () => {
    const hostile = new Hostile();
    hostile.content = new Uint8Array(1 << 20);
    hostile.manySections(60, 0);
    const object = Buffer.from(unsealPatch(hostile.bytes(), 'p'));
    const elf = readElf(object, 'p');
    const headers = Number(object.readBigUInt64LE(40));
    const whole = elf.section('.content')!;
    for (const { index, name } of elf.sections) {
      if (!name.startsWith('.many')) continue;
      object.writeUInt32LE(SHT.PROGBITS, headers + index * 64 + 4);
      object.writeBigUInt64LE(BigInt(whole.offset), headers + index * 64 + 24);
      object.writeBigUInt64LE(BigInt(whole.size), headers + index * 64 + 32);
    }
    assert.throws(() => readPatch(sealPatch(object), 'p'), badInput(/sections overlap/));
  });

  test('a string table in which every name is nearly all of it', () => {
    const hostile = new Hostile();
    for (let index = 0; index < 20_000; index++) {
      hostile.writer.symbol({ ...hostile.symbol, name: `undefined${index}`, section: 0 });
    }
    const object = Buffer.from(unsealPatch(hostile.bytes(), 'p'));
    const elf = readElf(object, 'p');
    const strings = elf.section('.strtab')!;
    object.fill('x', strings.offset + 1, strings.offset + strings.size - 1);
    const table = elf.section('.symtab')!;
    for (let at = table.offset + 24, name = 1; at < table.offset + table.size; at += 24, name++) {
      object.writeUInt32LE(name, at);
    }
    assert.throws(() => readPatch(sealPatch(object), 'p'), badInput(/overlapping names/));
  });
});

test('damaged object files: bad input, refused, or a sound patch', () => {
  const whole = readFileSync(fresh);
  const change = fc.tuple(fc.integer({ min: 0, max: whole.length - 1 }), fc.constantFrom(0, 0xff, 0x80, 1));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const damaged = Uint8Array.from(whole);
      for (const [at, value] of changes) damaged[at] = value;
      const file = workshop.write('damaged.o', damaged);
      try {
        useFully(buildPatch({ old, new: file }).bytes);
      } catch (error) {
        const kinds = ['bad-input', 'refused', 'nothing-to-do'];
        if (!(error instanceof AtlasError) || !kinds.includes(error.kind)) throw error;
      }
    }),
    { numRuns: 600 },
  );
});

function useFully(bytes: Uint8Array): void {
  try {
    inspectPatch(bytes, 'damaged');
    const plan = planPatch(readPatch(bytes, 'damaged'), target);
    linkPatch(plan, plan.placement.lowest);
  } catch (error) {
    if (!(error instanceof AtlasError) || !['bad-input', 'refused'].includes(error.kind)) throw error;
  }
}

/** A small sound patch, of which a test makes something else. */
class Hostile {
  readonly writer = new RelocatableWriter();
  readonly code: SectionDraft;
  readonly symbol;
  readonly note: PatchNote;
  content: Uint8Array = new Uint8Array(0);

  constructor() {
    this.code = this.section('.text.f0', SHT.PROGBITS, SHF.ALLOC | SHF.EXECINSTR, 16, new Uint8Array(16));
    const { code: section } = this;
    this.symbol = this.writer.symbol({
      name: 'f0',
      value: 0,
      size: 16,
      type: STT.FUNC,
      binding: STB.GLOBAL,
      section,
    });
    this.note = {
      format: FORMAT_VERSION,
      name: 'hostile',
      functions: [],
      added: [],
      removed: [],
      imports: {},
      objects: {},
      renamed: {},
      verdicts: [],
    };
    this.functions(1);
  }

  get first() {
    return this.note.functions[0]!;
  }

  functions(count: number): void {
    this.note.functions = Array.from({ length: count }, () => ({
      symbol: 'f0',
      object: 'a.o',
      parts: [
        {
          symbol: 'f0',
          name: 'f0',
          aliases: [],
          binding: 'global',
          size: 16,
          sha256: '0'.repeat(64),
          masked: [],
        },
      ],
    }));
  }

  section(
    name: string,
    type: number,
    flags: number,
    size: number,
    bytes: Uint8Array = new Uint8Array(0),
  ): SectionDraft {
    return this.writer.section({ name, type, flags, alignment: 16, entrySize: 0, bytes, size });
  }

  manySections(count: number, size: number): void {
    for (let index = 0; index < count; index++) this.section(`.many${index}`, SHT.NOBITS, SHF.ALLOC, size);
  }

  relocation(type: number, offset: number): void {
    this.code.relocations.push({ type, offset, symbol: this.symbol, addend: 0 });
  }

  bytes(): Uint8Array {
    if (this.content.length > 0) this.section('.content', SHT.PROGBITS, 0, this.content.length, this.content);
    const note = encodePatchNote(this.note);
    this.section(NOTE_SECTION, SHT.NOTE, 0, note.length, note);
    return sealPatch(this.writer.bytes());
  }
}
