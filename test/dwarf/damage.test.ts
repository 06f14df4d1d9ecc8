import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { innermostFrame } from '../../src/dwarf/frame.js';
import { unwindStep } from '../../src/dwarf/unwind.js';
import { UnwindModule } from '../../src/dwarf/unwind-module.js';
import { compile } from './live-program.js';

/** The file's bytes up to here hold its headers and tables: damage elsewhere changes nothing. */
function ehFrameExtent(elf: Buffer): { start: number; end: number } {
  const headers = Number(elf.readBigUInt64LE(32));
  for (let i = 0; i < elf.readUInt16LE(56); i++) {
    const header = headers + i * 56;
    if (elf.readUInt32LE(header) !== 0x6474e550) continue;
    const start = Number(elf.readBigUInt64LE(header + 8));
    return { start, end: start + 4 * Number(elf.readBigUInt64LE(header + 32)) };
  }
  throw new Error('no .eh_frame_hdr');
}

test('damaged tables are refused or make frames unknown: nothing else is thrown, and nothing hangs', () => {
  const original = readFileSync(compile('program.c', ['-O2', '-no-pie']));
  const { start, end } = ehFrameExtent(original);
  let unknown = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          at: fc.oneof(fc.integer({ min: start, max: end - 1 }), fc.integer({ min: 0, max: 0x400 })),
          value: fc.integer({ min: 0, max: 255 }),
        }),
        { minLength: 1, maxLength: 60 },
      ),
      fc.integer({ min: 0x401000, max: 0x402000 }),
      (damage, rip) => {
        const elf = Buffer.from(original);
        for (const { at, value } of damage) elf[at] = value;
        let module: UnwindModule;
        try {
          module = new UnwindModule(elf, 0);
        } catch (error) {
          assert.ok(error instanceof AtlasError && error.kind === 'bad-input', String(error));
          refused++;
          return;
        }
        const registers = { exact: (name: string) => BigInt(name === 'rip' ? rip : 0x7fff_0000) };
        const step = unwindStep(
          innermostFrame(registers),
          () => module,
          () => 0x1234n,
        );
        if (step.kind === 'unknown') unknown++;
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(unknown > 0 && refused > 0, `${unknown} unknown, ${refused} refused`);
});
