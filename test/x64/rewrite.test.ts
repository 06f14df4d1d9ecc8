/** Rewriting in live programs, and where islands are put. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join } from 'node:path';
import { parseMaps } from '../../src/linux/proc.js';
import { originalSite, placesFor } from '../../src/process/rewrite.js';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';
import { scoped } from '../harness/scope.js';

const SOURCE = join(PROJECT, 'test', 'x64', 'call_sites.c');
const LIBRARY = { start: 0x7f00_0002_6000, length: 0x15_0000, file: 'libc', offset: 0x26000 };
const EXECUTABLE = { start: 0x5555_5555_5000, length: 0x1000, file: 'main', offset: 0x1000 };
const MAPS = parseMaps(`\
555555554000-555555555000 r--p 00000000 08:01 1 /main
555555555000-555555556000 r-xp 00001000 08:01 1 /main
555555556000-555555558000 rw-p 00002000 08:01 1 /main
7f0000000000-7f0000026000 r--p 00000000 08:01 2 /libc
7f0000026000-7f0000176000 r-xp 00026000 08:01 2 /libc
7f0000176000-7f00001da000 rw-p 00176000 08:01 2 /libc
7f00001db000-7f00001dc000 r--p 00000000 08:01 3 /next
7f00001e0000-7f00001e1000 r--p 00000000 08:01 4 /last
`);
const HEAP = { heap: { start: 0x5555_5555_8000, end: 0x5555_5557_0000 } };

describe('places for islands', () => {
  it('below the library first, then above it, never in a gap that is too small', () => {
    assert.deepEqual(placesFor(HEAP, LIBRARY, MAPS), [0x7eff_ffff_e000, 0x7f00_001d_c000]);
  });

  it('below an executable, never where its heap may grow', () => {
    assert.deepEqual(placesFor(HEAP, EXECUTABLE, MAPS), [0x5555_5555_2000]);
  });

  it('never beyond the reach of a jump', () => {
    const full = [{ ...MAPS[0]!, start: 0x1_0000, end: LIBRARY.start + 2 ** 31 }, MAPS.at(-1)!];
    full[1] = { ...full[1]!, start: 2 ** 47 - 4096, end: 2 ** 47 };
    assert.deepEqual(placesFor(HEAP, LIBRARY, full), []);
  });
});

for (const kind of ['-pie', '-no-pie']) {
  scoped(
    `a ${kind} program's calls do what they do natively, and do not stop it`,
    { seconds: 60 },
    async (scope) => {
      const program = await compileC(SOURCE, ['-fexceptions', kind]);
      const native = await scope.runNative([program]);
      assert.equal(native.status, 0, native.stdout);
      assert.match(native.stdout, /cleaned up: 5\n$/);
      const atlas = await scope.runAtlas([program]);
      assert.equal(atlas.stdout, native.stdout);
      assert.equal(atlas.status, 0);
    },
  );
}

describe('the site that an island stands for', () => {
  const space = { islands: [{ start: 0x7000_0000, sites: [0x7100_0010, 0x7100_0020] }] };
  const siteOf = (pc: number): number | undefined => originalSite(space, pc);
  it('by slot', () => {
    assert.equal(siteOf(0x7000_0000), 0x7100_0010);
    assert.equal(siteOf(0x7000_003f), 0x7100_0010);
    assert.equal(siteOf(0x7000_0040), 0x7100_0020);
  });
  it('none outside of the slots in use', () => {
    assert.equal(siteOf(0x6fff_ffff), undefined);
    assert.equal(siteOf(0x7000_0080), undefined);
    assert.equal(siteOf(0x7000_2000), undefined);
  });
});
