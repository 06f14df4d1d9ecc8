import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latenciesIn, percentile } from '../../examples/load/latency.js';
import { Recorder, type Recording } from '../../examples/load/recording.js';
import { judgeVersions } from '../../examples/load/versions.js';

type Answer = [startedAt: number, endedAt: number, version: 0 | 1 | 2, thread: number, turn: number];

function recordingOf(answers: Answer[]): Recording {
  const recorder = new Recorder(answers.length);
  for (const [startedAt, endedAt, version, thread, turn] of answers)
    recorder.add(startedAt, endedAt, false, { version, thread, turn });
  return recorder.recording;
}

test('percentiles are by nearest rank', () => {
  const values = Float64Array.from({ length: 1000 }, (_, i) => i + 1);
  assert.equal(percentile(values, 0.5), 500);
  assert.equal(percentile(values, 0.999), 999);
  assert.equal(percentile(values, 1), 1000);
  assert.equal(percentile(values.subarray(0, 1), 0.99), 1);
  assert.ok(Number.isNaN(percentile(new Float64Array(0), 0.5)));
});

test('a window has the requests that were under way in it, and none of the slow ones', () => {
  const recorder = new Recorder(5);
  const verdict = { version: 0, thread: 1, turn: 1 } as const;
  recorder.add(0, 9, false, verdict);
  recorder.add(5, 12, false, verdict);
  recorder.add(15, 16, false, verdict);
  recorder.add(12, 19, true, verdict);
  recorder.add(21, 22, false, verdict);
  const { count, max } = latenciesIn(recorder.recording, { from: 10, to: 20 });
  assert.equal(count, 2);
  assert.equal(max, 7000);
});

test('a thread that goes from old to new code once is right, in whatever order its answers arrive', () => {
  const { counts, threads, violations } = judgeVersions(
    recordingOf([
      [0, 1, 1, 7, 1],
      [11, 14, 2, 7, 3],
      [10, 15, 1, 7, 2],
      [30, 31, 2, 7, 4],
      [30, 31, 0, 7, 5],
    ]),
    { from: 5, to: 20 },
  );
  assert.deepEqual(violations, []);
  assert.deepEqual(counts, {
    before: { old: 1, new: 0 },
    during: { old: 1, new: 1 },
    after: { old: 0, new: 1 },
  });
  assert.equal(threads[0]!.firstNewAt, 14);
});

test('going back to old code, and either code at the wrong time, are violations', () => {
  const rollout = { from: 5, to: 20 };
  const violations = (answers: Answer[]): number =>
    judgeVersions(recordingOf(answers), rollout).violations.length;
  assert.equal(
    violations([
      [6, 7, 2, 7, 1],
      [8, 9, 1, 7, 2],
    ]),
    1,
  );
  assert.equal(
    violations([
      [6, 7, 2, 7, 1],
      [8, 9, 1, 8, 2],
    ]),
    0,
  );
  assert.equal(violations([[0, 1, 2, 7, 1]]), 1);
  assert.equal(violations([[21, 22, 1, 7, 1]]), 1);
});
