import assert from 'node:assert/strict';

const SHOWN = 100;

/** The first difference says more than two long texts. */
export function assertSameLines(actual: string, expected: string, about = ''): void {
  if (actual === expected) return;
  const [actualLines, expectedLines] = [actual.split('\n'), expected.split('\n')];
  const at = firstDifference(actualLines, expectedLines);
  const [theirs, ours] = [expectedLines[at] ?? '(nothing)', actualLines[at] ?? '(nothing)'];
  const from = Math.max(0, firstDifference(theirs, ours) - SHOWN / 2);
  const context = expectedLines.slice(Math.max(0, at - 3), at + 1).map((line) => line.slice(0, SHOWN));
  assert.fail(
    `${about}line ${at + 1} differs from column ${from}\n  ${context.join('\n  ')}\n` +
      `natively: ${theirs.slice(from, from + SHOWN)}\nAtlas:    ${ours.slice(from, from + SHOWN)}`,
  );
}

function firstDifference(one: ArrayLike<string>, other: ArrayLike<string>): number {
  let at = 0;
  while (at < Math.max(one.length, other.length) && one[at] === other[at]) at++;
  return at;
}
