/**
 * Every case of `cases/`: a right patch must be right in a running program, a wrong one refused. By default
 * one build of each is run and others are only judged; with ATLAS_BATTERY=all every build is run.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readElf } from '../../../src/elf/index.js';
import { AtlasError } from '../../../src/errors/atlas-error.js';
import type { DoubtKind } from '../../../src/patch/doubts.js';
import { buildPatch, type Libraries, planPatch, readPatch } from '../../../src/patch/index.js';
import { installed, missing } from '../../harness/programs.js';
import { BUILDS, type Build, CaseBuild } from './case-build.js';
import { type Case, readCases, type Variant, type Verdict, verdictFor } from './case-file.js';
import { Stage } from './stage.js';

const ALL = process.env.ATLAS_BATTERY === 'all';
const STAGE_SECONDS = ALL ? 7200 : 580;
/** Judged, but not run, unless all is asked for. */
const JUDGED = ['gcc -O0 fixed', 'clang -O2 pie'];

/** Symbols of libraries are known in a running program only: here every name is far away. */
const ANY_LIBRARY: Libraries = {
  resolve: () => ({ kind: 'address', address: 0x7fff_0000_0000 }),
  userOf: () => undefined,
  unwinders: () => ({ registrars: [], obstacle: undefined, handlers: undefined }),
};

let folder: string;
let stage: Stage;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atlas-battery-'));
  stage = await Stage.open(STAGE_SECONDS);
});
after(async () => {
  await stage.close();
  await rm(folder, { recursive: true });
});

const noGcc = await missing('gcc', 'mkfifo');
const hasClang = (await installed('clang')) !== undefined;

for (const subject of readCases()) {
  const skip = noGcc || (await missing(...subject.needs));
  describe(`${subject.name}: ${subject.about}`, { skip }, () => {
    const fitting = BUILDS.filter(({ name }) => subject.only.every((word) => name.split(' ').includes(word)));
    for (const [index, build] of fitting.filter(({ compiler }) => compiler === 'gcc' || hasClang).entries()) {
      const isRun = ALL || index === 0;
      if (!isRun && !JUDGED.includes(build.name)) continue;
      describe(build.name, () => {
        for (const variant of subject.variants) addTest(subject, build, variant, isRun);
      });
    }
  });
}

const builds = new Map<string, CaseBuild>();

function addTest(subject: Case, build: Build, variant: Variant, isRun: boolean): void {
  const verdict = verdictFor(variant, build.name);
  if (verdict === undefined) return;
  const name = [...variant.macros, ...variant.accept.map((kind) => `--accept ${kind}`)].join(' ');
  test(name || 'changed', { timeout: 120_000 }, async () => {
    const key = `${subject.name} ${build.name}`;
    const made = builds.get(key) ?? new CaseBuild(folder, subject, build);
    builds.set(key, made);
    await judge(made, variant, verdict, isRun);
  });
}

async function judge(made: CaseBuild, variant: Variant, verdict: Verdict, isRun: boolean): Promise<void> {
  const patch = await patchOf(made, variant, isRun);
  if (patch instanceof AtlasError) {
    if (verdict.refused === undefined) throw patch;
    assert.equal(patch.kind, 'refused', patch.message);
    assert.match(patch.message, verdict.refused);
    return;
  }
  assert.ok(verdict.right !== undefined, 'the patch was not refused');
  if (isRun) await perform(await made.executable(), patch, made.subject.before, verdict.right);
}

/** The patch, or why there is none: from its making, or from looking at the executable. */
async function patchOf(made: CaseBuild, variant: Variant, isRun: boolean): Promise<Uint8Array | AtlasError> {
  const accept = variant.accept as DoubtKind[];
  const inputs = { old: await made.before(), new: await made.after(variant), accept };
  try {
    const untargeted = buildPatch(inputs).bytes;
    const needsTarget = isRun || variant.verdicts.some(({ verdict }) => verdict.refused !== undefined);
    if (!needsTarget) return untargeted;
    const target = await made.executable();
    const { bytes } = buildPatch({ ...inputs, target });
    const elf = readElf(await readFile(target), target);
    const readText = (address: number, length: number) => elf.bytesAt(address, length) ?? new Uint8Array(0);
    planPatch(readPatch(bytes, 'battery'), { elf, loadBias: 0, readText, libraries: ANY_LIBRARY });
    return bytes;
  } catch (error) {
    if (error instanceof AtlasError) return error;
    throw error;
  }
}

async function perform(executable: string, patch: Uint8Array, old: string, right: string): Promise<void> {
  const performance = await stage.start(executable);
  try {
    const start = await performance.seen();
    assert.deepEqual(
      start.lines.map((lines) => lines[0]),
      start.lines.map(() => old),
    );
    const { settled } = await performance.apply(patch);
    assert.ok(settled);
    const seen = await performance.until(`to print "${right}"`, ({ lines }) =>
      lines.every((of) => of.at(-1) !== old),
    );
    assert.deepEqual(
      seen.lines,
      seen.lines.map(() => [old, right]),
    );
    assert.deepEqual(seen.others, []);
  } finally {
    await performance.end();
  }
}
