import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, table } from '../../examples/demo/table.js';

test('durations read in the unit that suits them', () => {
  assert.deepEqual([0.4, 85.26, 1234, 20_000, 3_500_000].map(duration), [
    '0.4 µs',
    '85.3 µs',
    '1.23 ms',
    '20 ms',
    '3.5 s',
  ]);
  assert.equal(duration(Number.NaN), '–');
});

test('numbers stand to the right, words to the left', () => {
  const rows = [
    ['thread', 'pause'],
    ['worker-1', '85 µs'],
    ['main', '–'],
  ];
  assert.equal(table(rows), '  thread    pause\n  worker-1  85 µs\n  main          –');
});
