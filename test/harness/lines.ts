import assert from 'node:assert/strict';

/** The first difference says more than two long texts. */
export function assertSameLines(actual: string, expected: string, about = ''): void {
  if (actual === expected) return;
  const [actualLines, expectedLines] = [actual.split('\n'), expected.split('\n')];
  const lines = Math.max(actualLines.length, expectedLines.length);
  let at = 0;
  while (at < lines && actualLines[at] === expectedLines[at]) at++;
  const context = expectedLines.slice(Math.max(0, at - 2), at);
  assert.fail(
    `${about}line ${at + 1} differs\n  before:   ${context.join('\n            ')}\n  natively: ${expectedLines[at]}\n  Atlas:    ${actualLines[at]}`,
  );
}
