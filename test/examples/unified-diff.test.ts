import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyUnifiedDiff, fileOfDiff } from '../../examples/build/unified-diff.js';
import { AtlasError } from '../../src/errors/atlas-error.js';

const SOURCE = ['one', 'two', '', 'four', 'five', 'six', 'seven', 'eight', ''].join('\n');
const DIFF = `What it is for.

--- a/folder/numbers.txt
+++ b/folder/numbers.txt
@@ -1,4 +1,5 @@
 one
-two
+TWO
+two and a half
 
 four
@@ -7,2 +8,1 @@ a heading
-seven
 eight
`;

test('a diff of several sections is applied, its preamble ignored', () => {
  const expected = ['one', 'TWO', 'two and a half', '', 'four', 'five', 'six', 'eight', ''].join('\n');
  assert.equal(applyUnifiedDiff(SOURCE, DIFF), expected);
  assert.equal(fileOfDiff(DIFF), 'folder/numbers.txt');
});

test('a diff that does not fit to the letter is refused', () => {
  const isBadInput = (error: unknown): boolean => error instanceof AtlasError && error.kind === 'bad-input';
  assert.throws(() => applyUnifiedDiff(SOURCE.replace('four', 'for'), DIFF), isBadInput);
  assert.throws(() => applyUnifiedDiff(`zero\n${SOURCE}`, DIFF), isBadInput);
  assert.throws(() => fileOfDiff('nothing'), isBadInput);
});
