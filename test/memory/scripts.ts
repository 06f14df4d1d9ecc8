/** Random scripts of memory system calls, in the language of `test/programs/sequence.c`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';

const ARENA_PAGES = 48;
const BLOCKS = 6;
const BLOCK_PAGES = 24;
const FILE_PAGES = 10;

const NONE = 0;
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const protection = fc.constantFrom(NONE, READ, READ | WRITE, READ | WRITE, READ | WRITE, READ | EXECUTE);

const MADV_NORMAL = 0;
const MADV_WILLNEED = 3;
const MADV_DONTNEED = 4;
const advice = fc.constantFrom(MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED, MADV_NORMAL);

const value = fc.integer({ min: 1, max: 200 });

/** A range of pages inside `limit` pages: first page, count. */
function range(limit: number, longest = 12): fc.Arbitrary<[number, number]> {
  return fc
    .tuple(fc.nat(limit - 1), fc.integer({ min: 1, max: longest }))
    .map(([first, count]) => [first, Math.min(count, limit - first)]);
}

const arenaRange = range(ARENA_PAGES);

/** A call on one piece of anonymous memory: mremap differs over several areas (docs/limits.md). */
const onAnonymous = (at: number, n: number, p: number, call: string): string =>
  [
    `map ${at} ${n} ${READ | WRITE}`,
    `fill ${at} ${n} ${1 + ((at * 7 + n) % 199)}`,
    `protect ${at} ${n} ${p}`,
    call,
  ].join('\n');

const arenaCall: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(arenaRange, protection).map(([[at, n], p]) => `map ${at} ${n} ${p}`) },
  {
    weight: 1,
    arbitrary: fc.tuple(arenaRange, protection).map(([[at, n], p]) => `noreplace ${at} ${n} ${p}`),
  },
  { weight: 1, arbitrary: fc.tuple(arenaRange, protection).map(([[at, n], p]) => `shared ${at} ${n} ${p}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(arenaRange, protection, fc.nat(FILE_PAGES - 1), fc.nat(1))
      .map(([[at, n], p, offset, shared]) => `file ${at} ${n} ${p} ${offset} ${shared}`),
  },
  { weight: 3, arbitrary: arenaRange.map(([at, n]) => `unmap ${at} ${n}`) },
  { weight: 4, arbitrary: fc.tuple(arenaRange, protection).map(([[at, n], p]) => `protect ${at} ${n} ${p}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(arenaRange, protection, advice)
      .map(([[at, n], p, a]) => onAnonymous(at, n, p, `advise ${at} ${n} ${a}`)),
  },
  { weight: 5, arbitrary: fc.tuple(arenaRange, value).map(([[at, n], v]) => `fill ${at} ${n} ${v}`) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(arenaRange, protection, fc.integer({ min: 1, max: 12 }))
      .map(([[at, n], p, to]) => onAnonymous(at, n, p, `remap ${at} ${n} ${Math.min(to, ARENA_PAGES - at)}`)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(range(ARENA_PAGES, 8), protection, arenaRange)
      .map(([[at, n], p, [to, m]]) => onAnonymous(at, n, p, `move ${at} ${n} ${m} ${to}`)),
  },
  { weight: 1, arbitrary: fc.integer({ min: -6, max: 8 }).map((pages) => `break ${pages}`) },
  // Over whatever is there: several areas, holes, files' pages.
  { weight: 2, arbitrary: fc.tuple(arenaRange, advice).map(([[at, n], a]) => `advise ${at} ${n} ${a}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(arenaRange, protection, fc.nat(1))
      .map(([[at, n], p, shared]) => `badfile ${at} ${n} ${p} ${shared}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(ARENA_PAGES - 1), fc.nat(3), fc.nat(3))
      .map(([at, which, call]) => `beyond ${at} ${which} ${call}`),
  },
);

/** Sealed memory refuses nearly everything for good: some scripts have a little of it. */
const sealing: fc.Arbitrary<string> = range(ARENA_PAGES, 5).map(([at, n]) => `seal ${at} ${n}`);

const block = fc.nat(BLOCKS - 1);
const blockRange = range(BLOCK_PAGES, 6);

const blockCall: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(block, fc.integer({ min: 1, max: BLOCK_PAGES }), protection)
      .map(([b, n, p]) => `new ${b} ${n} ${p}`),
  },
  { weight: 3, arbitrary: fc.tuple(block, blockRange).map(([b, [at, n]]) => `drop ${b} ${at} ${n}`) },
  {
    weight: 3,
    arbitrary: fc.tuple(block, blockRange, protection).map(([b, [at, n], p]) => `set ${b} ${at} ${n} ${p}`),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(block, blockRange, advice).map(([b, [at, n], a]) => `hint ${b} ${at} ${n} ${a}`),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(block, blockRange, value).map(([b, [at, n], v]) => `put ${b} ${at} ${n} ${v}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(block, fc.integer({ min: 1, max: BLOCK_PAGES }))
      .map(([b, to]) => `resize ${b} 0 1 ${to}`),
  },
  { weight: 1, arbitrary: fc.integer({ min: -6, max: 8 }).map((pages) => `break ${pages}`) },
);

/** Something to work on: without it, most calls of a short script would meet empty places. */
const ARENA_START = ['map 4 30 3', 'fill 4 30 1', 'file 36 8 3 0 0'];
const BLOCKS_START = Array.from({ length: BLOCKS - 1 }, (_, b) => [
  `new ${b} 20 3`,
  `put ${b} 0 20 ${b}`,
]).flat();

/** One script: at fixed places of an arena, or in blocks at places that the kernel chooses. */
export function script(threads: number): fc.Arbitrary<string> {
  const scriptOf = (start: readonly string[], call: fc.Arbitrary<string>) =>
    fc
      .array(fc.tuple(fc.nat(threads - 1), call), { minLength: 1, maxLength: 60, size: 'max' })
      .map((all) => [
        ...start.map((line) => `0 ${line}`),
        ...all.flatMap(([thread, lines]) => lines.split('\n').map((line) => `${thread} ${line}`)),
      ])
      .map((all) => all.map((line) => `${line}\n`).join(''));
  const withSeals = fc.oneof({ weight: 20, arbitrary: arenaCall }, { weight: 1, arbitrary: sealing });
  return fc.oneof(
    { weight: 2, arbitrary: scriptOf(ARENA_START, arenaCall) },
    { weight: 1, arbitrary: scriptOf(ARENA_START, withSeals) },
    { weight: 2, arbitrary: scriptOf(BLOCKS_START, blockCall) },
  );
}

/** Writes each script to a file of its own. */
export async function save(folder: string, scripts: readonly string[]): Promise<string[]> {
  const files = scripts.map((_, index) => join(folder, `script-${index}`));
  await Promise.all(files.map((file, index) => writeFile(file, scripts[index]!)));
  return files;
}
