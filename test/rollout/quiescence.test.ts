import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { DWARF_REGISTER_NAMES, type RegisterName } from '../../src/dwarf/registers.js';
import type { FindModule } from '../../src/dwarf/unwind.js';
import { type CodeRange, QuiescenceTest, type StoppedThread } from '../../src/rollout/quiescence.js';
import { compile, ReadyProgram, RegisterSnapshot } from '../dwarf/live-program.js';

const RANGE: CodeRange = { start: 0x5555_0001_0000, end: 0x5555_0001_0100 };
const STACK_END = 0x7fff_0002_0000;
const STACK_POINTER = STACK_END - 0x1_8000;

const noModules: FindModule = () => undefined;

/** A thread whose memory is one stack, with the given words in it. */
function threadWith(
  registers: Partial<Record<RegisterName, number>>,
  words: ReadonlyMap<number, number>,
  stackPointer = STACK_POINTER,
  mappedFrom = stackPointer - 4096,
): StoppedThread {
  const values = new Map(DWARF_REGISTER_NAMES.map((name) => [name, BigInt(registers[name] ?? 0)]));
  values.set('rsp', BigInt(stackPointer));
  const memory = new DataView(new ArrayBuffer(STACK_END - mappedFrom));
  for (const [address, value] of words) memory.setBigUint64(address - mappedFrom, BigInt(value), true);
  return {
    registers: new RegisterSnapshot(values),
    stackEnd: STACK_END,
    readMemory: (address, buffer) => {
      if (address < mappedFrom) return 0;
      const offset = address - mappedFrom;
      const bytes = new Uint8Array(
        memory.buffer,
        offset,
        Math.min(buffer.length, memory.byteLength - offset),
      );
      buffer.set(bytes);
      return bytes.length;
    },
  };
}

function kindOf(thread: StoppedThread, ranges: CodeRange[] = [RANGE]): string {
  return new QuiescenceTest(ranges, noModules).judge(thread).kind;
}

test('a word or register that can lead into the old code is never overlooked', () => {
  const suspicious = [RANGE.start + 1, RANGE.start + 0x80, RANGE.end - 1, RANGE.end];
  const places = [-128, -8, 0, 8, 0xfff8, 0x1_0000, 0x1_7ff8];
  for (const value of suspicious) {
    for (const place of places) {
      const thread = threadWith({}, new Map([[STACK_POINTER + place, value]]));
      // Nothing here can be unwound, so a suspicion cannot be cleared.
      assert.equal(kindOf(thread), 'unknown', `${value.toString(16)} at rsp+${place}`);
    }
    for (const name of DWARF_REGISTER_NAMES) {
      if (name === 'rsp' || name === 'rip') continue;
      assert.equal(kindOf(threadWith({ [name]: value }, new Map())), 'unknown', name);
    }
  }
});

test('pointers to the entry, and words outside the ranges, are harmless', () => {
  const other: CodeRange = { start: RANGE.end + 0x1000, end: RANGE.end + 0x1100 };
  const harmless = [RANGE.start, RANGE.start - 1, RANGE.end + 1, other.start, other.end + 1, 0, 2 ** 53];
  for (const value of harmless) {
    const words = new Map([-128, 0, 0x1_7ff8].map((place) => [STACK_POINTER + place, value]));
    const thread = threadWith({ rbx: value, rax: value }, words);
    assert.equal(kindOf(thread, [RANGE, other]), 'quiescent', value.toString(16));
  }
  // Below the red zone everything is dead.
  assert.equal(kindOf(threadWith({}, new Map([[STACK_POINTER - 136, RANGE.start + 8]]))), 'quiescent');
});

test('a word whose halves alone look like an address in the range is not one', () => {
  const words = new Map([
    [STACK_POINTER, RANGE.start + 8 - 2 ** 32],
    [STACK_POINTER + 8, (RANGE.start + 8) % 2 ** 32],
    [STACK_POINTER + 16, RANGE.start + 8 + 2 ** 48],
  ]);
  assert.equal(kindOf(threadWith({}, words)), 'quiescent');
});

test('a thread at the entry of a replaced function is quiescent, one instruction later it is not', () => {
  assert.equal(kindOf(threadWith({ rip: RANGE.start }, new Map())), 'quiescent');
  assert.equal(kindOf(threadWith({ rip: RANGE.start + 1 }, new Map())), 'active');
  assert.equal(kindOf(threadWith({ rip: RANGE.end - 1 }, new Map())), 'active');
  assert.equal(kindOf(threadWith({ rip: RANGE.end }, new Map())), 'quiescent');
});

test('a red zone that reaches into the guard page does not hide the rest', () => {
  const pointer = STACK_END - 4096 + 16;
  const mappedFrom = STACK_END - 4096;
  assert.equal(kindOf(threadWith({}, new Map(), pointer, mappedFrom)), 'quiescent');
  const inRedZone = new Map([[pointer - 8, RANGE.start + 8]]);
  assert.equal(kindOf(threadWith({}, inRedZone, pointer, mappedFrom)), 'unknown');
});

test('a stack that cannot be read, or is not aligned, is not called quiescent', () => {
  const unreadable: StoppedThread = { ...threadWith({}, new Map()), readMemory: () => 0 };
  assert.equal(kindOf(unreadable), 'unknown');
  assert.equal(kindOf({ ...threadWith({}, new Map()), stackEnd: STACK_END + 8 }), 'unknown');
  assert.equal(kindOf(threadWith({}, new Map(), STACK_POINTER + 4)), 'unknown');
});

test('both stacks count while a handler runs on the alternate one', () => {
  const main = { start: STACK_END - 0x1_0000, end: STACK_END };
  const alternate = { pointer: STACK_END - 0x1_8000, end: STACK_END - 0x1_7000 };
  const interruptedPointer = main.end - 0x8000;
  const judge = (words: [number, number][]) =>
    kindOf({
      ...threadWith({}, new Map(words), alternate.pointer),
      stackEnd: alternate.end,
      interruptedStack: main,
    });
  const saved: [number, number] = [alternate.pointer + 0xa0, interruptedPointer];
  assert.equal(judge([saved]), 'quiescent');
  assert.equal(judge([saved, [alternate.pointer + 0xa8, RANGE.start + 8]]), 'unknown');
  assert.equal(judge([saved, [interruptedPointer - 128, RANGE.start + 8]]), 'unknown');
  assert.equal(judge([saved, [main.end - 8, RANGE.start + 8]]), 'unknown');
  assert.equal(judge([saved, [interruptedPointer - 136, RANGE.start + 8]]), 'quiescent');
  // Without a pointer to it, all of the interrupted stack counts.
  assert.equal(judge([[main.start, RANGE.start + 8]]), 'unknown');
});

interface Named extends CodeRange {
  name: string;
}

/** The functions of a symbol table, at their addresses in the process. */
function functionsOf(executable: string, bias: number): Named[] {
  const { stdout } = spawnSync('nm', ['-S', '--defined-only', executable], { encoding: 'utf8' });
  const functions: Named[] = [];
  for (const line of stdout.split('\n')) {
    const match = /^([0-9a-f]+) ([0-9a-f]+) [tTwW] (\S+)$/.exec(line);
    if (!match) continue;
    const start = Number.parseInt(match[1]!, 16) + bias;
    functions.push({ name: match[3]!, start, end: start + Number.parseInt(match[2]!, 16) });
  }
  return functions;
}

/** The program's main thread at its snapshot, with the stacks it uses. */
function stoppedThread({ memory, registers }: ReadyProgram): StoppedThread {
  const own = memory.mapping(registers.get('rsp'))!;
  const thread = { registers, stackEnd: own.end, readMemory: memory.read };
  const main = memory.maps.find(({ path }) => path === '[stack]')!;
  // The program takes its alternate stack from the heap.
  return own.path === '[heap]' ? { ...thread, interruptedStack: main } : thread;
}

function executableBias(program: ReadyProgram, executable: string): number {
  const header = spawnSync('readelf', ['-hW', executable], { encoding: 'utf8' }).stdout;
  const dynamic = /Type: +DYN/.test(header);
  return dynamic ? program.memory.maps.find(({ path }) => path === executable)!.start : 0;
}

/** `mov $15, %rax` stands there: what follows in a list of frames was interrupted, and did not call. */
function isSignalReturn(program: ReadyProgram, pc: number): boolean {
  return BigInt.asUintN(56, program.memory.readWord(pc)!) === 0x0f_c0_c7_48n;
}

const SCENES = [
  'recursion 40',
  'alloca 20',
  'saved-registers',
  'qsort',
  'signal',
  'signal-stack',
  'fault',
  'thread',
  'stale-words',
  'noreturn',
];

for (const flags of [['-O0'], ['-O2'], ['-Os', '-no-pie', '-fno-align-functions']]) {
  const executable = compile('program.c', flags);
  for (const scene of SCENES) {
    test(`${flags.join(' ')}: ${scene}: exactly the functions on the stack are active`, async () => {
      const program = await ReadyProgram.start(executable, scene.split(' '));
      try {
        const pcs = program.said
          .get('pcs')!
          .split(' ')
          .map((pc) => Number.parseInt(pc, 16));
        const thread = stoppedThread(program);
        let active = 0;
        for (const range of functionsOf(executable, executableBias(program, executable))) {
          const verdict = new QuiescenceTest([range], program.memory.find).judge(thread);
          const rip = program.registers.get('rip');
          const outermost = pcs.findLastIndex((pc, i) => {
            const end = i > 0 && isSignalReturn(program, pcs[i - 1]!) ? range.end - 1 : range.end;
            return pc > range.start && pc <= end;
          });
          const expected = outermost >= 0 || (rip > range.start && rip < range.end) ? 'active' : 'quiescent';
          assert.equal(verdict.kind, expected, range.name);
          if (verdict.kind !== 'active') continue;
          active++;
          assert.equal(verdict.range.start, range.start);
          assert.equal(verdict.returnAddress, pcs[outermost + 1], range.name);
          if (verdict.returnAddress === undefined) {
            assert.equal(range.name, '_start');
            continue;
          }
          const returnSlot = verdict.callerStackPointer! - 8;
          assert.equal(Number(program.memory.readWord(returnSlot)), verdict.returnAddress, range.name);
        }
        assert.ok(active >= 2, `only ${active} functions were active`);
      } finally {
        await program.end();
      }
    });
  }
}

/** The verdict about one function of the program, and how often the unwinder asked for a module. */
async function verdictAbout(scene: string, name: string) {
  const executable = compile('program.c', ['-O2']);
  const program = await ReadyProgram.start(executable, scene.split(' '));
  try {
    const range = functionsOf(executable, executableBias(program, executable)).find((f) => f.name === name);
    assert.ok(range, name);
    let lookups = 0;
    const find: FindModule = (pc) => {
      lookups++;
      return program.memory.find(pc);
    };
    const verdict = new QuiescenceTest([range], find).judge(stoppedThread(program));
    return { verdict, lookups };
  } finally {
    await program.end();
  }
}

test('without a suspicious word nothing is unwound; stale words are cleared by unwinding', async () => {
  const clean = await verdictAbout('stale-words', 'with_saved_registers');
  assert.deepEqual(clean, { verdict: { kind: 'quiescent' }, lookups: 0 });
  const stale = await verdictAbout('stale-words', 'recurse');
  assert.equal(stale.verdict.kind, 'quiescent');
  assert.ok(stale.lookups > 0);
});

test('beyond generated code only words that could be a way back make a thread unknown', async () => {
  // Not on the stack at all; on the stack inside the generated code's callee; above the generated code.
  assert.equal((await verdictAbout('generated-code', 'recurse')).verdict.kind, 'quiescent');
  assert.equal((await verdictAbout('generated-code', 'snapshot')).verdict.kind, 'active');
  const above = (await verdictAbout('generated-code', 'through_generated_code')).verdict;
  assert.equal(above.kind, 'unknown');
  assert.match(
    (above as { reason: string }).reason,
    /^no unwind information for 0x[0-9a-f]+; the word at 0x/,
  );
  // The stale words lie in a frame that is accounted for.
  const accounted = await verdictAbout('generated-code-stale', 'recurse');
  assert.equal(accounted.verdict.kind, 'quiescent');
  assert.ok(accounted.lookups > 0);
});
