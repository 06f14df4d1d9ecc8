import assert from 'node:assert/strict';
import { test } from 'node:test';
import { innermostFrame } from '../../src/dwarf/frame.js';
import { backtrace } from '../../src/dwarf/unwind.js';
import { compile, ReadyProgram } from './live-program.js';

const BUILDS = [
  ['-O0'],
  ['-O2', '-fomit-frame-pointer'],
  ['-O2', '-fno-omit-frame-pointer', '-fPIE', '-pie'],
  ['-O2', '-no-pie'],
  ['-Os', '-fno-plt'],
  ['-O2', '-fcf-protection', '-Wl,-z,lazy'],
];

/** The scene, and the fewest frames it must show. */
const SCENES: [string, number][] = [
  ['recursion 40', 44],
  ['recursion 1500', 1504],
  ['alloca 20', 9],
  ['saved-registers', 7],
  ['qsort', 8],
  ['signal', 8],
  ['signal-stack', 8],
  ['fault', 8],
  ['thread', 9],
];

function hex(addresses: readonly number[]): string[] {
  return addresses.map((address) => address.toString(16));
}

for (const flags of BUILDS) {
  const executable = compile('program.c', flags);
  for (const [scene, fewest] of SCENES) {
    test(`${flags.join(' ')}: ${scene}: the frames that the program's own unwinder finds`, async () => {
      const program = await ReadyProgram.start(executable, scene.split(' '));
      try {
        const { memory } = program;
        const trace = backtrace(innermostFrame(program.registers), memory.find, memory.readWord);
        assert.deepEqual(trace.end, { kind: 'complete' });
        const expected = program.said.get('pcs')!.split(' ');
        assert.ok(expected.length >= fewest - 1, `only ${expected.length} frames`);
        assert.deepEqual(hex(trace.frames.slice(1).map(({ pc }) => pc)), expected);
        const interrupted = trace.frames.filter((frame) => frame.interrupted).length;
        assert.equal(interrupted, /signal|fault/.test(scene) ? 2 : 1);
      } finally {
        await program.end();
      }
    });
  }
}

test('a trampoline without unwind information is known by its instructions', async () => {
  const program = await ReadyProgram.start(compile('program.c', ['-O2']), ['bare-restorer']);
  try {
    const { memory } = program;
    const trace = backtrace(innermostFrame(program.registers), memory.find, memory.readWord);
    assert.deepEqual(trace.end, { kind: 'complete' });
    assert.equal(trace.frames.filter((frame) => frame.interrupted).length, 2);
  } finally {
    await program.end();
  }
});

test('generated code without unwind information is unknown, not guessed', async () => {
  const program = await ReadyProgram.start(compile('program.c', ['-O2']), ['generated-code']);
  try {
    const { memory } = program;
    const trace = backtrace(innermostFrame(program.registers), memory.find, memory.readWord);
    const last = trace.frames.at(-1)!;
    // The return address after `call *%rdi`, the third instruction of the page.
    assert.equal(last.pc, Number.parseInt(program.said.get('generated')!, 16) + 6);
    assert.deepEqual(trace.end, {
      kind: 'unknown',
      reason: `no unwind information for 0x${last.pc.toString(16)}`,
    });
  } finally {
    await program.end();
  }
});

test('a stack that cannot be read, and a limit, end a backtrace as unknown', async () => {
  const program = await ReadyProgram.start(compile('program.c', ['-O2']), ['recursion', '20']);
  try {
    const { memory } = program;
    const innermost = innermostFrame(program.registers);
    const limited = backtrace(innermost, memory.find, memory.readWord, 5);
    assert.equal(limited.frames.length, 5);
    assert.deepEqual(limited.end, { kind: 'unknown', reason: 'more than 5 frames' });
    const blind = backtrace(innermost, memory.find, () => undefined);
    assert.equal(blind.frames.length, 1);
    assert.equal(blind.end.kind, 'unknown');
  } finally {
    await program.end();
  }
});
