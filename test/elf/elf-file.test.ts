import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import {
  ET,
  type ElfFile,
  isDefined,
  PT,
  R_X86_64,
  RelocatableWriter,
  readElf,
  SHF,
  SHN,
  SHT,
  STB,
  STT,
} from '../../src/elf/index.js';
import { AtlasError } from '../../src/errors/atlas-error.js';

const SOURCE = `
#include <stdio.h>
static int quiet = 3; int loud = 4; static __thread long mine; static char large[100000];
static __attribute__((noinline)) int helper(int x) { mine += x; return printf("%d", x + quiet + large[x]); }
int main(int count, char **words) { return helper(count) + loud; }
`;

let folder: string;
const tool = (...command: string[]) => execFileSync(command[0]!, command.slice(1), { encoding: 'utf8' });
const read = (name: string) => readElf(readFileSync(join(folder, name)), name);

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'atlas-elf-'));
  const source = join(folder, 'source.c');
  writeFileSync(source, SOURCE);
  tool('gcc', '-O1', '-g', '-ffunction-sections', '-c', source, '-o', join(folder, 'object.o'));
  tool('gcc', '-pie', join(folder, 'object.o'), '-Wl,--build-id', '-o', join(folder, 'program'));
  tool('strip', join(folder, 'program'), '-o', join(folder, 'stripped'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe('reading', () => {
  test('symbols are those that nm prints', () => {
    for (const name of ['object.o', 'program']) {
      const elf = read(name);
      const printed = tool('nm', join(folder, name))
        .trim()
        .split('\n')
        .map((line) => /^(\w+)?\s+(\w) (\S+)$/.exec(line)!)
        .filter((match) => match[1] !== undefined);
      assert.ok(printed.length > 4);
      for (const [, value, , symbol] of printed) {
        const plain = symbol!.replace(/@.*/, '');
        const values = elf.symbolsNamed(plain).map((found) => found.value);
        assert.ok(values.includes(Number.parseInt(value!, 16)), `${symbol} in ${name}`);
      }
    }
  });

  test('sections are those that readelf prints', () => {
    const elf = read('program');
    const lines = tool('readelf', '-SW', join(folder, 'program')).split('\n');
    for (const section of elf.sections.slice(1)) {
      const hex = (value: number, width: number) => value.toString(16).padStart(width, '0');
      const line = lines.find((candidate) => candidate.includes(`] ${section.name} `));
      assert.ok(
        line?.includes(`${hex(section.address, 16)} ${hex(section.offset, 6)} ${hex(section.size, 6)}`),
        section.name,
      );
    }
  });

  test('relocations are those that readelf prints', () => {
    const elf = read('object.o');
    const text = elf.section('.text.helper')!;
    const printed = tool('readelf', '-rW', join(folder, 'object.o'));
    const block = printed.slice(printed.indexOf("'.rela.text.helper'")).split('\n\n')[0]!;
    const relocations = elf.relocationsOf(text);
    assert.equal(relocations.length, block.trim().split('\n').length - 2);
    for (const { offset, type, symbol } of relocations) {
      const info = symbol.toString(16).padStart(8, '0') + type.toString(16).padStart(8, '0');
      assert.match(block, new RegExp(`${offset.toString(16).padStart(16, '0')}\\s+${info}`));
    }
  });

  test('the build-id, with and without section names', () => {
    const id = /Build ID: (\w+)/.exec(tool('readelf', '-n', join(folder, 'program')))![1];
    assert.equal(read('program').buildId, id);
    assert.equal(read('stripped').buildId, id);
    assert.equal(read('object.o').buildId, undefined);
  });

  test('an address leads to the bytes of its segment', () => {
    const elf = read('program');
    const address = elf.symbolAddress('helper')!;
    const symbol = elf.symbolsNamed('helper')[0]!;
    const text = elf.sections[symbol.section]!;
    const expected = elf
      .sectionBytes(text)
      .subarray(address - text.address, address - text.address + symbol.size);
    assert.deepEqual(elf.bytesAt(address, symbol.size), expected);
    assert.equal(elf.bytesAt(2 ** 40, 4), undefined);
    assert.equal(elf.type, ET.DYN);
    assert.ok(elf.segments.some(({ type }) => type === PT.TLS));
  });

  test('a stripped program still has its dynamic symbols', () => {
    const elf = read('stripped');
    assert.equal(elf.hasSymbolTable, false);
    assert.equal(elf.symbolAddress('helper'), undefined);
    assert.ok(elf.symbolsNamed('printf').some((symbol) => symbol.section === SHN.UNDEF));
  });

  test('local symbols of one name have no single address', () => {
    const one = join(folder, 'one.c');
    writeFileSync(one, 'static __attribute__((noinline, used)) int twin(void) { return 1; }');
    const two = join(folder, 'two.c');
    writeFileSync(
      two,
      'static __attribute__((noinline, used)) int twin(void) { return 2; } int main(void) { return 0; }',
    );
    tool('gcc', one, two, '-o', join(folder, 'twins'));
    const elf = read('twins');
    assert.equal(elf.symbolsNamed('twin').length, 2);
    assert.equal(elf.symbolAddress('twin'), undefined);
  });
});

describe('writing', () => {
  test('what was written links, runs, and reads back the same', () => {
    const writer = new RelocatableWriter();
    // main: lea value(%rip),%rax; mov (%rax),%eax; ret
    const code = Uint8Array.of(0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x8b, 0x00, 0xc3);
    const flags = SHF.ALLOC | SHF.EXECINSTR;
    const common = { type: SHT.PROGBITS, alignment: 16, entrySize: 0 };
    const text = writer.section({ ...common, name: '.text.main', flags, bytes: code, size: code.length });
    const bytes = Uint8Array.of(42, 0, 0, 0);
    const data = writer.section({ ...common, name: '.data.v', flags: SHF.ALLOC | SHF.WRITE, bytes, size: 4 });
    writer.section({
      ...common,
      type: SHT.NOBITS,
      name: '.bss.z',
      flags: SHF.ALLOC | SHF.WRITE,
      bytes: new Uint8Array(0),
      size: 64,
    });
    writer.symbol({
      name: 'main',
      value: 0,
      size: code.length,
      type: STT.FUNC,
      binding: STB.GLOBAL,
      section: text,
    });
    text.relocations.push({ offset: 3, type: R_X86_64.PC32, symbol: writer.sectionSymbol(data), addend: -4 });
    const file = join(folder, 'written.o');
    writeFileSync(file, writer.bytes());

    const checked = spawnSync('readelf', ['-aW', file], { encoding: 'utf8' });
    assert.equal(checked.stderr, '');
    tool('gcc', '-pie', file, '-o', join(folder, 'written'), '-Wl,-z,noexecstack');
    assert.equal(spawnSync(join(folder, 'written')).status, 42);
    const elf = read('written.o');
    assert.deepEqual(elf.sectionBytes(elf.section('.text.main')!), Buffer.from(code));
    assert.deepEqual(
      elf.relocationsOf(elf.section('.text.main')!).map(({ offset, type, addend }) => [offset, type, addend]),
      [[3, R_X86_64.PC32, -4]],
    );
    assert.equal(elf.section('.bss.z')!.size, 64);
  });
});

/** Asks everything that can be asked of a file. */
function readEverything(elf: ElfFile): void {
  for (const symbol of [...elf.symbols, ...elf.dynamicSymbols]) {
    if (isDefined(symbol)) elf.symbolAddress(symbol.name);
  }
  for (const section of elf.sections) {
    elf.sectionBytes(section);
    elf.relocationsOf(section);
    if (section.type === SHT.RELA) elf.relocationsIn(section);
  }
  elf.bytesAt(elf.entry, 16);
  assert.ok(elf.notes.length >= 0);
  assert.notEqual(elf.buildId, '');
}

function onlyAtlasErrors(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof AtlasError) || error.kind !== 'bad-input') throw error;
  }
}

describe('damaged files are bad input, never a crash', () => {
  test('what is not ELF, or of another machine', () => {
    for (const bytes of [new Uint8Array(0), Buffer.from('#!/bin/sh\n'), Buffer.alloc(4096, 0x7f)]) {
      assert.throws(() => readElf(bytes, 'x'), /not an ELF file/);
    }
    const arm = Buffer.from(readFileSync(join(folder, 'program')));
    arm.writeUInt16LE(183, 18);
    assert.throws(() => readElf(arm, 'x'), /another machine/);
  });

  test('cut off anywhere', () => {
    for (const name of ['object.o', 'program']) {
      const whole = readFileSync(join(folder, name));
      fc.assert(
        fc.property(fc.integer({ min: 0, max: whole.length }), (length) => {
          onlyAtlasErrors(() => readEverything(readElf(whole.subarray(0, length), name)));
        }),
        { numRuns: 200 },
      );
    }
  });

  test('with changed bytes, in the headers above all', () => {
    const whole = readFileSync(join(folder, 'object.o'));
    const tables = whole.readUInt32LE(40);
    const offset = fc.oneof(
      fc.integer({ min: 4, max: 63 }),
      fc.integer({ min: tables, max: whole.length - 1 }),
      fc.integer({ min: 0, max: whole.length - 1 }),
    );
    const change = fc.tuple(offset, fc.oneof(fc.constantFrom(0, 0xff, 0x7f, 0x80), fc.nat(255)));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const damaged = Buffer.from(whole);
        for (const [at, value] of changes) damaged[at] = value;
        onlyAtlasErrors(() => readEverything(readElf(damaged, 'damaged')));
      }),
      { numRuns: 1500 },
    );
  });
});
