/** What is left out of a long filter changes no verdict, and which filters are legal is the kernel's word. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { BpfAssembler, BpfCode, failWith, SECCOMP_RET_ALLOW } from '../../src/linux/bpf.js';
import { isAccepted, isClosed, shrink } from '../../src/syscalls/filter-shrink.js';
import { exemptGate } from '../../src/syscalls/program-filter.js';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';
import { runFilter } from './bpf-interpreter.js';

const GATE = { gateStart: 0x6f00_1234_5000, gateEnd: 0x6f00_1234_6000 };
const FROM_GATE = BigInt(GATE.gateStart) + 16n;
const RETURNS: readonly number[] = [BpfCode.returnConstant, BpfCode.returnAccumulator];

type Row = [code: number, jt: number, jf: number, k: number];
type Random = (below: number) => number;

function assemble(rows: readonly Row[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(rows.length * 8));
  for (const [index, [code, jt, jf, k]] of rows.entries()) {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, jt);
    view.setUint8(index * 8 + 3, jf);
    view.setUint32(index * 8 + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}

/** A linear congruential generator: the same filters in every run. */
function randomFrom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PLAIN = [
  0x20, 0x80, 0x00, 0x60, 0x81, 0x01, 0x61, 0x02, 0x03, 0x07, 0x87, 0x84, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34,
  0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac,
]; // biome-ignore format: codes
const BRANCHES = [0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d];

/** Most of them are legal; now and then a constant is out of its range. */
function randomRow(random: Random, left: number): Row {
  const kind = random(10);
  const k = random(6);
  if (left === 0 || kind === 0) return [RETURNS[random(2)]!, 0, 0, failWith(k)];
  if (kind === 1) return [BpfCode.jump, 0, 0, random(Math.min(left, 4))];
  if (kind <= 4) return [BRANCHES[random(8)]!, random(Math.min(left, 4)), random(Math.min(left, 4)), k];
  const code = PLAIN[random(PLAIN.length)]!;
  return [code, 0, 0, code === BpfCode.loadWord ? 4 * k : code === 0x34 ? k + 1 : k];
}

/** Cells are stored first, so that most loads of them are legal. */
function randomFilter(random: Random): Uint8Array {
  const length = 4 + random(40);
  const rows = Array.from({ length }, (_, at) => randomRow(random, length - 1 - at));
  const stores: Row[] = [0, 1, 2, 3, 4, 5].map((cell) => [0x02, 0, 0, cell]);
  return assemble(random(8) === 0 ? rows : [...stores, ...rows]);
}

test('a filter without its needless instructions comes to the same verdicts', () => {
  let [accepted, before, after] = [0, 0, 0];
  for (let seed = 0; seed < 2000; seed++) {
    const random = randomFrom(seed);
    const filter = randomFilter(random);
    if (!isClosed(filter) || !isAccepted(filter)) continue;
    const shrunk = shrink(filter);
    assert.ok(isClosed(shrunk) && isAccepted(shrunk), `seed ${seed}`);
    assert.ok(shrunk.length <= filter.length);
    accepted++;
    before += filter.length;
    after += shrunk.length;
    for (let round = 0; round < 20; round++) {
      const call = { number: random(6), arguments: [BigInt(random(6)), BigInt(random(8))] };
      assert.equal(runFilter(shrunk, call).verdict, runFilter(filter, call).verdict, `seed ${seed}`);
    }
  }
  assert.ok(accepted > 1000 && after < before / 2, `${accepted} filters, ${before} bytes became ${after}`);
});

test('what is called acceptable is what the kernel accepts', async () => {
  const judge = await compileC(`${PROJECT}test/syscalls/filter-judge.c`);
  const filters: Uint8Array[] = [];
  for (let seed = 0; seed < 300; seed++) filters.push(randomFilter(randomFrom(seed)));
  for (let code = 0; code < 0x100; code++)
    for (const k of [0, 3, 4, 15, 16, 31, 32, 64])
      filters.push(
        assemble([[0x02, 0, 0, 3], [0x02, 0, 0, 15], [code, 0, 0, k], [BpfCode.returnConstant, 0, 0, 0]]),
      ); // biome-ignore format: one row
  const folder = mkdtempSync(join(tmpdir(), 'atlas-filters-'));
  try {
    const file = join(folder, 'filters');
    const counted = filters.map((filter) =>
      Buffer.concat([new Uint8Array(new BigUint64Array([BigInt(filter.length / 8)]).buffer), filter]),
    );
    writeFileSync(file, Buffer.concat(counted));
    const answers = execFileSync(judge, [file], { encoding: 'utf8' }).trimEnd().split('\n').map(Number);
    assert.equal(answers.length, filters.length);
    for (const [index, filter] of filters.entries()) {
      const says = isClosed(filter) && isAccepted(filter) ? 0 : 22;
      assert.equal(says, answers[index], Buffer.from(filter).toString('hex'));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a filter that cannot be made shorter is exempted up to 4089 instructions, and refused beyond', () => {
  const long = (count: number, last: Row): Uint8Array => {
    const rows: Row[] = [[BpfCode.loadWord, 0, 0, 16]];
    while (rows.length < count - 5) rows.push([0x04, 0, 0, rows.length]);
    rows.push([0x15, 0, 1, 7], [BpfCode.returnConstant, 0, 0, failWith(1)]);
    rows.push([0x15, 0, 1, 9], [BpfCode.returnConstant, 0, 0, failWith(2)], last);
    return assemble(rows);
  };
  const allow: Row = [BpfCode.returnConstant, 0, 0, SECCOMP_RET_ALLOW];
  for (const count of [4000, 4089]) {
    const filter = long(count, allow);
    const exempt = exemptGate(filter, GATE);
    assert.ok('filter' in exempt);
    const sum = ((count - 6) * (count - 5)) / 2;
    for (const wanted of [7, 9, 10]) {
      const call = { number: 1, arguments: [BigInt((wanted - sum + 2 ** 32) % 2 ** 32)] };
      assert.equal(runFilter(exempt.filter, call).verdict, runFilter(filter, call).verdict);
      const fromGate = { ...call, instructionPointer: FROM_GATE };
      assert.equal(runFilter(exempt.filter, fromGate).verdict, SECCOMP_RET_ALLOW);
    }
  }
  assert.deepEqual(exemptGate(long(4090, allow), GATE), { errno: 12 });
  assert.deepEqual(exemptGate(long(4089, [BpfCode.returnAccumulator, 0, 0, 0]), GATE), { errno: 12 });
});

test('a filter that the kernel refuses is left to it', () => {
  const open = new BpfAssembler().load(0).assemble();
  assert.deepEqual(exemptGate(open, GATE), { filter: open });
});
