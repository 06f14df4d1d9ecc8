/** Generations differ in what was written to one of them, and in nothing else. */
import assert from 'node:assert/strict';
import { EXIT_CODE } from '../../src/errors/atlas-error.js';
import { missing } from '../harness/programs.js';
import { scoped } from '../harness/scope.js';
import { CHILD, Sharing, WORKERS } from './sharing.js';

const skip = await missing('gcc', 'mkfifo');
const options = { seconds: 40, skip };
const [BASE_CONSTANT, OTHER_CONSTANT] = ['a', 'b'].map((letter) => letter.charCodeAt(0));
const [BASE_FUNCTION, OTHER_FUNCTION] = [1000, 2000];
/** mov eax, 2000; ret */
const RETURN_OTHER = 'b8d0070000c3';

/** A generation with another constant and another function. */
async function diverge(program: Sharing): Promise<number> {
  const { generation } = await program.request('generation.create', {});
  await program.request('write', { generation, symbol: 'constant', bytes: '62' });
  await program.request('write', { generation, symbol: 'function', bytes: RETURN_OTHER });
  return generation;
}

async function assertViews(program: Sharing, inOther: readonly number[], threads = WORKERS): Promise<void> {
  const findings = await program.next(threads);
  const views = threads.map((index) => [findings[index]!.seen_constant, findings[index]!.seen_function]);
  const expected = threads.map((index) =>
    inOther.includes(index) ? [OTHER_CONSTANT, OTHER_FUNCTION] : [BASE_CONSTANT, BASE_FUNCTION],
  );
  assert.deepEqual(views, expected);
  assert.ok(
    findings.every(({ wrong_blocks }) => wrong_blocks === 0),
    'blocks pass unharmed',
  );
}

scoped('exactly the migrated threads see what was written', options, async (scope) => {
  const program = await Sharing.start(scope);
  await assertViews(program, []);
  const generation = await diverge(program);
  await assertViews(program, []);
  for (const migrated of [[1], [1, 3], [0, 1, 2, 3]]) {
    await program.migrate(generation, migrated);
    await assertViews(program, migrated);
  }
  for (const staying of [[0, 1, 2], [0], []]) {
    await program.migrate(
      0,
      WORKERS.filter((index) => !staying.includes(index)),
    );
    await assertViews(program, staying);
  }
  await program.request('generation.delete', { generation });
  const { generations } = await program.request('generation.list', {});
  assert.deepEqual(
    generations.map((one) => [one.generation, one.diverged]),
    [[0, []]],
  );
  await assertViews(program, []);
  assert.equal(await program.end(), 0);
});

scoped('the diverged bytes are listed, and read back per generation', options, async (scope) => {
  const program = await Sharing.start(scope);
  const generation = await diverge(program);
  const read = async (of: number): Promise<string> =>
    (await program.request('read', { generation: of, symbol: 'constant', length: 1 })).bytes;
  assert.deepEqual([await read(0), await read(generation)], ['61', '62']);
  const { generations } = await program.request('generation.list', {});
  assert.deepEqual(
    generations.map(({ diverged }) => diverged.map(({ length }) => length)),
    [[], [1, 6]],
  );
  assert.equal(await program.end(), 0);
});

scoped('three generations at once', options, async (scope) => {
  const program = await Sharing.start(scope);
  const first = await diverge(program);
  const { generation: second } = await program.request('generation.create', {});
  await program.request('write', { generation: second, symbol: 'constant', bytes: '63' });
  await program.migrate(first, [1]);
  await program.migrate(second, [2]);
  const seen = async (): Promise<number[]> =>
    (await program.next()).slice(0, WORKERS.length).map(({ seen_constant }) => seen_constant);
  const codes = (text: string): number[] => [...Buffer.from(text)];
  assert.deepEqual(await seen(), codes('abca'));
  await program.migrate(second, [1]);
  await program.migrate(first, [2, 3]);
  assert.deepEqual(await seen(), codes('acbb'));
  assert.equal(await program.end(), 0);
});

scoped('a thread is born into the generation of its creator', options, async (scope) => {
  const program = await Sharing.start(scope);
  const generation = await diverge(program);
  await program.migrate(generation, [2]);
  await program.order(2, 'c');
  await assertViews(program, [2, CHILD], [...WORKERS, CHILD]);
  assert.equal(await program.generationOf(CHILD), generation);
  await program.migrate(0, [2, CHILD]);
  await assertViews(program, [], [...WORKERS, CHILD]);
  assert.equal(await program.end(), 0);
});

scoped('mappings made in one generation are there in the others', options, async (scope) => {
  const program = await Sharing.start(scope);
  const generation = await diverge(program);
  await program.migrate(generation, [1, 3]);
  for (const [one, other] of [
    [1, 2],
    [0, 3],
    [3, 1],
  ] as const) {
    const about = `${one} maps, ${other} looks`;
    assert.equal(await program.order(one, 'm'), 'writable 7', about);
    assert.equal(await program.order(other, 's'), 'writable 7', about);
    assert.equal(await program.order(other, 'p'), 'read-only 7', about);
    assert.equal(await program.order(one, 's'), 'read-only 7', about);
    assert.equal(await program.order(one, 'u'), 'EFAULT', about);
    assert.equal(await program.order(other, 's'), 'EFAULT', about);
    assert.equal(await program.order(other, 'b'), 'writable 9', about);
    assert.equal(await program.order(one, 's'), 'writable 9', about);
  }
  await assertViews(program, [1, 3]);
  assert.equal(await program.end(), 0);
});

scoped('what cannot be done is refused, and changes nothing', options, async (scope) => {
  const program = await Sharing.start(scope);
  const generation = await diverge(program);
  const write = ['write', 'sharing', '--bytes', '02', '--generation'];
  const { tid } = (await program.findings())[0]!;
  const refused: [args: string[], code: number][] = [
    [[...write, `${generation}`, '--symbol', 'variable'], EXIT_CODE.refused],
    [[...write, '0', '--symbol', 'variable'], EXIT_CODE.refused],
    [[...write, `${generation}`, '--symbol', 'nothing_of_that_name'], EXIT_CODE['bad-input']],
    [[...write, `${generation}`, '--address', '0x10'], EXIT_CODE['bad-input']],
    [[...write, '99', '--symbol', 'constant'], EXIT_CODE['bad-usage']],
    [
      ['read', 'sharing', '--generation', '99', '--symbol', 'constant', '--length', '1'],
      EXIT_CODE['bad-usage'],
    ],
    [['migrate', 'sharing', '--to', '99', '--all'], EXIT_CODE['bad-usage']],
    [['migrate', 'sharing', '--to', `${generation}`, '--thread', '1'], EXIT_CODE['bad-usage']],
    [
      ['migrate', 'sharing', '--to', `${generation}`, '--thread', `${tid}`, '--thread', '1'],
      EXIT_CODE['bad-usage'],
    ],
    [['generation', 'delete', 'sharing', '99'], EXIT_CODE['bad-usage']],
    [['generation', 'delete', 'sharing', '0'], EXIT_CODE['bad-usage']],
    [['generation', 'list', 'no-such-run'], EXIT_CODE['no-such-process']],
  ];
  for (const [args, code] of refused) {
    const { status, stdout } = await scope.cli([...args, '--json']);
    assert.equal(status, code, `${args.join(' ')}\n${stdout}`);
  }
  await assertViews(program, []);
  await program.migrate(generation, [0]);
  const inUse = await scope.cli(['generation', 'delete', 'sharing', `${generation}`]);
  assert.equal(inUse.status, EXIT_CODE.refused, inUse.stderr);
  await assertViews(program, [0]);
  assert.equal(await program.end(), 0);
});
