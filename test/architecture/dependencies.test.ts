import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { violations } from './direction.js';
import { LAYERS } from './layers.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

test('in this repository all arrows point downwards', () => {
  assert.deepEqual(violations(root), []);
});

test('every folder of src has a README, and src/README.md names it', async () => {
  const overview = await readFile(join(root, 'src/README.md'), 'utf8');
  for (const [folder] of LAYERS) {
    assert.ok(existsSync(join(root, 'src', folder, 'README.md')), `src/${folder}/README.md is missing`);
    assert.ok(overview.includes(`${folder}/`), `src/README.md does not name ${folder}/`);
  }
});

/** What the check says about a made-up tree. */
async function judge(files: Record<string, string>): Promise<string[]> {
  const tree = await mkdtemp(join(tmpdir(), 'layers-'));
  try {
    for (const [name, source] of Object.entries({ 'src/errors/e.ts': '', ...files })) {
      await mkdir(dirname(join(tree, name)), { recursive: true });
      await writeFile(join(tree, name), source);
    }
    return violations(tree);
  } finally {
    await rm(tree, { recursive: true });
  }
}

test('a downward arrow is allowed', async () => {
  assert.deepEqual(await judge({ 'src/linux/a.ts': `import { E } from '../errors/e.js';` }), []);
});

test('an upward arrow is found, of values, of types and of dynamic imports', async () => {
  for (const statement of [
    `import { c } from '../cli/c.js';`,
    `import type { C } from '../cli/c.js';`,
    `export * from '../cli/c.js';`,
    `import {\n  a,\n  b,\n} from '../cli/c.js';`,
    `const { c } = await import('../cli/c.js');`,
    `export type T = import('../cli/c.js').C;`,
  ]) {
    const found = await judge({ 'src/linux/a.ts': statement, 'src/cli/c.ts': '' });
    assert.equal(found.length, 1, statement);
    assert.match(found[0]!, /^src\/linux\/a\.ts:\d+: imports src\/cli\/c\.ts: linux is not above cli$/);
  }
});

test('a folder without a place is found', async () => {
  assert.deepEqual(await judge({ 'src/novel/a.ts': '' }), ['src/novel/ has no place in layers.ts']);
});

test('of the supervisor, the api knows only the protocol', async () => {
  const files = { 'src/supervisor/protocol.ts': '', 'src/supervisor/worker.ts': '' };
  assert.deepEqual(await judge({ ...files, 'src/api/a.ts': `import '../supervisor/protocol.js';` }), []);
  const found = await judge({ ...files, 'src/api/a.ts': `import '../supervisor/worker.js';` });
  assert.match(found.join(), /the api knows only supervisor\/protocol\.ts/);
});

test('the product does not import its users, and examples import only the api', async () => {
  const backwards = await judge({
    'src/cli/a.ts': `import '../../examples/demo.js';`,
    'examples/demo.ts': '',
  });
  assert.match(backwards.join(), /must not depend on what uses it/);
  const inwards = await judge({
    'examples/demo.ts': `import '../src/linux/ffi.js';`,
    'src/linux/ffi.ts': '',
  });
  assert.match(inwards.join(), /examples may use only src\/api, src\/errors/);
});

test('files that load each other are found; types that refer to each other are not', async () => {
  const cycle = await judge({
    'src/linux/a.ts': `import { b } from './b.js';`,
    'src/linux/b.ts': `import { c } from './c.js';`,
    'src/linux/c.ts': `import { a } from './a.js';`,
  });
  assert.deepEqual(cycle, [
    'a cycle of imports: src/linux/a.ts -> src/linux/b.ts -> src/linux/c.ts -> src/linux/a.ts',
  ]);
  assert.deepEqual(
    await judge({
      'src/linux/a.ts': `import { b } from './b.js';`,
      'src/linux/b.ts': `import type { A } from './a.js';\nexport type T = { a: import('./a.js').A };`,
    }),
    [],
  );
});
