import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertSameLines } from '../harness/lines.js';
import { type BatchOptions, type ProgramResult, runBatch } from '../harness/batch.js';

/** A suite in which every program must behave under Atlas exactly as it does natively. */
export function sameAsNative(
  title: string,
  names: readonly string[],
  options: BatchOptions,
  /** Programs that are known to see a difference, and where docs/limits.md says so. */
  known: Readonly<Record<string, string>> = {},
): void {
  describe(title, () => {
    let native = new Map<string, ProgramResult>();
    let atlas = new Map<string, ProgramResult>();
    before(async () => {
      native = await runBatch('native', names, { secondsEach: options.secondsEach });
      atlas = await runBatch('atlas', names, options);
    });
    after(() => {
      native.clear();
      atlas.clear();
    });
    for (const name of names) {
      it(name, { todo: known[name] ?? false }, () => {
        const expected = native.get(name)!;
        const actual = atlas.get(name);
        assert.ok(expected.waitStatus === 0 || expected.stdout !== '', 'it says something natively');
        assert.doesNotMatch(expected.stdout, /failed:/, 'it passes natively');
        assert.ok(actual !== undefined, 'it ran under Atlas');
        assert.equal(actual.trouble, '', actual.trouble);
        const about = `wait status ${actual.waitStatus}, natively ${expected.waitStatus}; `;
        assertSameLines(actual.stdout, expected.stdout, about);
        assertSameLines(actual.stderr, expected.stderr, about);
        assert.equal(actual.waitStatus, expected.waitStatus);
      });
    }
  });
}
