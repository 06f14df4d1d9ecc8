import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { SYS } from '../../src/linux/syscall-numbers.js';
import { renderCompatibilityPage } from '../../src/syscalls/compatibility.js';

const committed = readFileSync(new URL('../../../docs/compatibility.md', import.meta.url), 'utf8');

test('the committed page is what the table says', () => {
  assert.equal(committed, renderCompatibilityPage(), 'run: node dist/src/syscalls/write-compatibility.js');
});

test('every call has one row, and every errno has a name', () => {
  const rows = [...committed.matchAll(/^\| `(\w+)` \| (native|mediated|E[A-Z]+)(:[^|]*)? \| /gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(rows.sort(), Object.keys(SYS).sort());
});
