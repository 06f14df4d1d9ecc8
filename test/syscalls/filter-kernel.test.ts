/** The filters in the kernel: that it takes them, and that it comes to the verdicts that the interpreter comes to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BpfAssembler, failWith, SECCOMP_RET_ALLOW } from '../../src/linux/bpf.js';
import { SYS, type SyscallName } from '../../src/linux/syscall-numbers.js';
import { baseFilter, stubFilter } from '../../src/syscalls/filter.js';
import { exemptGate } from '../../src/syscalls/program-filter.js';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';

const GATE = { gateStart: 0x6f00_1234_5000, gateEnd: 0x6f00_1234_6000 };
const OPTIONS = { ...GATE, marker: 0x3ff00, storeFd: 900 };

/** Without a tracer, SECCOMP_RET_TRACE is ENOSYS. */
const STOPPED = -38;
const REFUSED = -38;
const SUCCEEDS = (result: number): boolean => result >= 0;

let folder: string;
let probe: string;

before(async () => {
  probe = await compileC(`${PROJECT}test/syscalls/filter-probe.c`, ['-mno-red-zone']);
  folder = mkdtempSync(join(tmpdir(), 'atlas-filters-'));
});

after(() => rmSync(folder, { recursive: true }));

type Way = 'direct' | 'gate';
type Expectation = number | ((result: number) => boolean);
type Call = [way: Way, call: SyscallName | number, args: (number | 'buffer')[], expected: Expectation];

function check(filters: Uint8Array[], calls: Call[]): void {
  const files = filters.map((filter, index) => {
    const file = join(folder, `filter-${index}`);
    writeFileSync(file, filter);
    return file;
  });
  const script = calls.map(([way, call, args]) => {
    return [way, typeof call === 'number' ? call : SYS[call], ...args].join(' ');
  });
  const argv = [GATE.gateStart.toString(16), ...files, '--', ...script];
  const lines = execFileSync(probe, argv, { encoding: 'utf8' }).trimEnd().split('\n');
  assert.equal(lines.length, calls.length + 1);
  for (const [index, [way, call, args, expected]] of calls.entries()) {
    const result = Number(lines[index + 1]);
    const what = `${way} ${call}(${args.join(', ')}) gave ${result}`;
    if (typeof expected === 'number') assert.equal(result, expected, what);
    else assert.ok(expected(result), what);
  }
}

const MAP_A_PAGE = [0, 4096, 3, 0x22, -1, 0];
const MADV_NORMAL = 0;
const MADV_DONTNEED = 4;

const inAnyTask: Call[] = [
  ['gate', 'mmap', MAP_A_PAGE, SUCCEEDS],
  ['direct', 'mmap', MAP_A_PAGE, STOPPED],
  ['direct', 'rseq', [0, 0, 0, 0], REFUSED],
  ['gate', 'rseq', [0, 0, 0, 0], (result) => result !== REFUSED],
  ['direct', 'userfaultfd', [0], REFUSED],
  ['direct', 'futex', ['buffer', 0x81, 1], STOPPED],
  ['direct', 'futex', ['buffer', 1, 1], 0],
  ['direct', 'arch_prctl', [0x5001, 1], -22],
  ['direct', 'dup2', [0, 900], -9],
  ['gate', 'dup2', [0, 900], 900],
  ['direct', 'close', [900], -9],
  ['direct', 'dup3', [0, 900, 0], -9],
  ['direct', 'fcntl', [900, 1], 0],
  ['gate', 'close', [900], 0],
  ['direct', 'dup2', [0, 901], 901],
  ['direct', 'close', [901], 0],
  ['direct', 0x4000_0000 + SYS.getuid, [], REFUSED],
  ['direct', OPTIONS.marker, [], -38],
  ['direct', 'clock_gettime', [1, 'buffer'], 0],
  ['direct', 'write', [1, 'buffer', 0], 0],
];

test('the kernel takes the base filter and judges as expected', () => {
  check(
    [baseFilter(OPTIONS)],
    [
      ...inAnyTask,
      ['direct', 'getpid', [], SUCCEEDS],
      ['direct', 'madvise', [GATE.gateStart, 4096, MADV_NORMAL], 0],
      ['direct', 'madvise', [GATE.gateStart, 4096, MADV_DONTNEED], STOPPED],
      ['direct', 'clock_gettime', [2, 'buffer'], 0],
    ],
  );
});

test('the kernel takes the stub filter on top of it, and the more restrictive verdict holds', () => {
  check(
    [baseFilter(OPTIONS), stubFilter(OPTIONS)],
    [
      ...inAnyTask,
      ['direct', 'getpid', [], STOPPED],
      ['gate', 'getpid', [], SUCCEEDS],
      ['direct', 'madvise', [GATE.gateStart, 4096, MADV_NORMAL], STOPPED],
      ['direct', 'clock_gettime', [2, 'buffer'], STOPPED],
      ['direct', 'clock_gettime', [-6, 'buffer'], STOPPED],
      ['gate', 'clock_gettime', [2, 'buffer'], 0],
      ['direct', 'poll', ['buffer', 0, 0], 0],
    ],
  );
});

test('with a signalfd in use, a stub stops at poll', () => {
  const filter = stubFilter({ ...OPTIONS, signalfdInUse: true });
  check(
    [baseFilter(OPTIONS), filter],
    [
      ['direct', 'poll', ['buffer', 0, 0], STOPPED],
      ['gate', 'poll', ['buffer', 0, 0], 0],
      ['direct', 'write', [1, 'buffer', 0], 0],
    ],
  );
});

function exempted(filter: Uint8Array): Uint8Array {
  const result = exemptGate(filter, GATE);
  assert.ok('filter' in result);
  return result.filter;
}

test("the kernel takes a program's filter with the gate's exemption", () => {
  const program = new BpfAssembler();
  const fail = program.label('fail');
  const computed = program.label('computed');
  program
    .load(0)
    .branch('equal', SYS.getpid, fail, 'next')
    .branch('equal', SYS.getppid, computed, 'next')
    .return(SECCOMP_RET_ALLOW)
    .place(computed)
    .load(16)
    .keepAccumulator()
    .returnKept()
    .place(fail)
    .return(failWith(1));
  check(
    [exempted(program.assemble())],
    [
      ['direct', 'getpid', [], -1],
      ['gate', 'getpid', [], SUCCEEDS],
      ['direct', 'getppid', [failWith(95)], -95],
      ['gate', 'getppid', [failWith(95)], SUCCEEDS],
      ['direct', 'getuid', [], SUCCEEDS],
    ],
  );
});
