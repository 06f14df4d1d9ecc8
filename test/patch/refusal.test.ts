import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { readElf } from '../../src/elf/index.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { buildPatch, linkPatch, planPatch, readPatch, type TargetProgram } from '../../src/patch/index.js';
import { Workshop } from './compile.js';

const SOURCE = `
#include <stdio.h>
static int secret = 1;
static __attribute__((noinline)) int inner(int x) { return x * 5 + secret; }
__attribute__((noinline)) int outer(int x) { secret++; puts("outer"); return inner(x) + 1; }
`;
const CHANGED = SOURCE.replace('x * 5', 'x * 7').replace('+ 1;', '+ 2;');
const MAIN = 'int outer(int); int main(int c, char **v) { return outer(c); }';

/** A linked program that "runs" as it stands in its file. */
function programInFile(
  path: string,
  change: (bytes: Uint8Array, address: number) => void = () => {},
): TargetProgram {
  const elf = readElf(readFileSync(path), path);
  return {
    elf,
    loadBias: 0,
    readText: (address, length) => {
      const bytes = Uint8Array.from(elf.bytesAt(address, length) ?? new Uint8Array(0));
      change(bytes, address);
      return bytes;
    },
  };
}

function made(workshop: Workshop) {
  const old = workshop.object('old', SOURCE);
  const fresh = workshop.object('new', CHANGED);
  const main = workshop.object('main', MAIN);
  const program = workshop.link('program', [main, old]);
  return { old, fresh, main, program };
}

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof AtlasError && error.kind === 'refused' && pattern.test(error.message);

describe('planning', () => {
  test('accepts the program that the patch was made for, and names what it will change', () => {
    using workshop = new Workshop();
    const { old, fresh, program } = made(workshop);
    const { bytes } = buildPatch({ old, new: fresh, target: program });
    const target = programInFile(program);
    const plan = planPatch(readPatch(bytes, 'p'), target);
    assert.deepEqual(plan.functions.map(({ name }) => name).sort(), ['outer', 'subject.c:inner']);
    const outer = plan.functions.find(({ name }) => name === 'outer')!;
    const symbol = target.elf.symbolsNamed('outer')[0]!;
    assert.deepEqual(outer.ranges, [{ start: symbol.value, end: symbol.value + symbol.size }]);
    assert.equal(plan.size % 4096, 0);

    const base = 0x40000000;
    const linked = linkPatch(plan, base);
    const jump = linked.jumps.find(({ address }) => address === symbol.value)!;
    assert.deepEqual(jump.oldBytes, target.readText(symbol.value, 5));
    const goal = symbol.value + 5 + Buffer.from(jump.newBytes).readInt32LE(1);
    assert.equal(jump.newBytes[0], 0xe9);
    assert.equal(goal, base + outer.imageOffset);
    assert.throws(() => linkPatch(plan, plan.placement.highest + 4096), refused(/must start at a page/));
    assert.throws(() => linkPatch(plan, base + 8), refused(/must start at a page/));
  });

  test('another build', () => {
    using workshop = new Workshop();
    const { old, fresh, main, program } = made(workshop);
    const other = workshop.link('other', [main, old], ['-Wl,--build-id=0x1234']);
    const { bytes } = buildPatch({ old, new: fresh, target: program });
    assert.throws(() => planPatch(readPatch(bytes, 'p'), programInFile(other)), refused(/is build 1234/));
  });

  test('other bytes in the program, except where the linker writes', () => {
    using workshop = new Workshop();
    const { old, fresh, program } = made(workshop);
    const { bytes } = buildPatch({ old, new: fresh });
    const target = programInFile(program, (text) => {
      if (text.length > 5) text[text.length - 1]! ^= 1;
    });
    assert.throws(
      () => planPatch(readPatch(bytes, 'p'), target),
      refused(/outer: the running program has other bytes/),
    );
    planPatch(readPatch(bytes, 'p'), programInFile(program));
  });

  test('a stripped program: the missing symbols are named', () => {
    using workshop = new Workshop();
    const { old, fresh, program } = made(workshop);
    const { bytes } = buildPatch({ old, new: fresh });
    execFileSync('strip', [program]);
    assert.throws(
      () => planPatch(readPatch(bytes, 'p'), programInFile(program)),
      refused(/outer: missing symbol: the executable is stripped[\s\S]*subject\.c:secret: missing symbol/),
    );
  });

  test('a second source file of that name is told apart by its content', () => {
    using workshop = new Workshop();
    const { old, fresh, main } = made(workshop);
    const twin = workshop.object('twin', SOURCE.replace('x * 5', 'x * 6').replaceAll('outer', 'other'));
    const { bytes } = buildPatch({ old, new: fresh });
    for (const order of [
      [main, twin, old],
      [main, old, twin],
    ]) {
      const program = programInFile(workshop.link('twins', order));
      const plan = planPatch(readPatch(bytes, 'p'), program);
      const inner = plan.functions.find(({ name }) => name === 'subject.c:inner')!;
      const outer = plan.functions.find(({ name }) => name === 'outer')!;
      assert.ok(Math.abs(inner.address - outer.address) < 64, 'both come from one object file');
    }
  });

  test('a second source file that cannot be told apart', () => {
    using workshop = new Workshop();
    const { old, fresh, main } = made(workshop);
    const twin = workshop.object('twin', SOURCE.replaceAll('outer', 'other'));
    const { bytes } = buildPatch({ old, new: fresh });
    const program = programInFile(workshop.link('twins', [main, old, twin]));
    assert.throws(() => planPatch(readPatch(bytes, 'p'), program), refused(/inner: several local symbols/));
  });

  test('a hidden function is found; a static function of another file is not taken for a global one', () => {
    using workshop = new Workshop();
    const hidden = SOURCE.replace(
      '__attribute__((noinline)) int outer',
      '__attribute__((visibility("hidden"))) int outer',
    );
    const old = workshop.object('old', hidden);
    const fresh = workshop.object('new', hidden.replace('x * 5', 'x * 7').replace('+ 1;', '+ 2;'));
    const stranger = 'static __attribute__((noinline, used)) int private_to_main(int x) { return x; }';
    const main = workshop.object('main', `${stranger} ${MAIN}`);
    const program = workshop.link('program', [main, old]);
    const { bytes, report } = buildPatch({ old, new: fresh, target: program });
    assert.ok(report.verdicts.every(({ reason }) => !reason.includes('other code')));
    assert.equal(planPatch(readPatch(bytes, 'p'), programInFile(program)).functions.length, 2);

    const caller = workshop.object('caller', hidden.replace('return inner(x)', 'return private_to_main(x)'));
    const second = buildPatch({ old, new: caller }).bytes;
    assert.throws(
      () => planPatch(readPatch(second, 'p'), programInFile(program)),
      refused(/private_to_main: missing symbol/),
    );
  });

  test('a function shorter than a jump, with the next one right behind it', () => {
    using workshop = new Workshop();
    const flags = ['-O2', '-falign-functions=1'];
    const source = (body: string) =>
      `int v; void tiny(void) { ${body} } int outer(int x) { v = x; return x + 1; }`;
    const old = workshop.object('old', source('__asm__("");'), flags);
    const fresh = workshop.object('new', source('v++;'), flags);
    const program = workshop.link('program', [workshop.object('main', MAIN), old]);
    const tooSmall = refused(/tiny: \d bytes are too small/);
    const { bytes } = buildPatch({ old, new: fresh });
    assert.throws(() => planPatch(readPatch(bytes, 'p'), programInFile(program)), tooSmall);
    assert.throws(() => buildPatch({ old, new: fresh, target: program }), tooSmall);
  });

  test('a function that nobody defines', () => {
    using workshop = new Workshop();
    const { old, program } = made(workshop);
    const fresh = workshop.object('calls', CHANGED.replace('puts("outer")', 'unheard_of()'));
    const { bytes } = buildPatch({ old, new: fresh });
    assert.throws(
      () => planPatch(readPatch(bytes, 'p'), programInFile(program)),
      refused(/unheard_of: missing symbol/),
    );
  });
});
