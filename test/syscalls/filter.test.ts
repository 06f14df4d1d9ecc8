import assert from 'node:assert/strict';
import test from 'node:test';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { BpfAssembler, failWith, SECCOMP_RET_ALLOW, SECCOMP_RET_TRACE } from '../../src/linux/bpf.js';
import { SYS, SYSCALL_LIMIT, type SyscallName } from '../../src/linux/syscall-numbers.js';
import { baseFilter, stubFilter } from '../../src/syscalls/filter.js';
import { exemptGate } from '../../src/syscalls/program-filter.js';
import { TREATMENTS } from '../../src/syscalls/table.js';
import { runFilter } from './bpf-interpreter.js';

const GATE = { gateStart: 0x7f12_fffe_e000, gateEnd: 0x7f12_fffe_f000 };
const OPTIONS = { ...GATE, marker: 0x3ff00, storeFd: 1000 };
const FROM_GATE = BigInt(GATE.gateStart) + 16n;
const EBADF = failWith(9);
const EINVAL = failWith(22);
const ENOSYS = failWith(38);
const ALLOW = SECCOMP_RET_ALLOW;
const TRACE = SECCOMP_RET_TRACE;

const base = baseFilter(OPTIONS);
const stub = stubFilter(OPTIONS);
const stubWithSignalfd = stubFilter({ ...OPTIONS, signalfdInUse: true });

/** The verdict for a call made by the program's own code. */
function judge(filter: Uint8Array, name: SyscallName | number, ...args: (number | bigint)[]): number {
  const number = typeof name === 'number' ? name : SYS[name];
  return runFilter(filter, { number, instructionPointer: 0x5555_5555n, arguments: args.map(BigInt) }).verdict;
}

const everyNumber = [...Array.from({ length: SYSCALL_LIMIT + 50 }, (_, number) => number), 5000, 0x3fff_ffff];

test('everything is allowed from the gate', () => {
  for (const filter of [base, stub, stubWithSignalfd]) {
    for (const number of everyNumber) {
      for (const args of [[], [1000n, 1000n, 4n], Array.from({ length: 6 }, () => 0xffff_ffff_ffff_ffffn)]) {
        const call = { number, instructionPointer: FROM_GATE, arguments: args };
        assert.equal(runFilter(filter, call).verdict, ALLOW, `call ${number}`);
      }
    }
  }
});

test('the gate is where the syscall instruction lies wholly inside', () => {
  const at = (instruction: number): number =>
    runFilter(base, { number: SYS.mmap, instructionPointer: BigInt(instruction) + 2n }).verdict;
  assert.equal(at(GATE.gateStart), ALLOW);
  assert.equal(at(GATE.gateEnd - 2), ALLOW);
  assert.equal(at(GATE.gateStart - 1), TRACE);
  assert.equal(at(GATE.gateStart - 2), TRACE);
  assert.equal(at(GATE.gateEnd - 1), TRACE);
  assert.equal(at(GATE.gateStart + 2 ** 32), TRACE, 'same low half of the address');
  assert.equal(at(GATE.gateStart % 2 ** 32), TRACE, 'same low half of the address');
});

test('the marker stops only from the gate', () => {
  for (const filter of [base, stub]) {
    assert.equal(runFilter(filter, { number: OPTIONS.marker, instructionPointer: FROM_GATE }).verdict, TRACE);
    assert.equal(runFilter(filter, { number: OPTIONS.marker, instructionPointer: 0x1000n }).verdict, ENOSYS);
  }
});

test('another ABI has no system calls, and a cancelled call passes', () => {
  for (const filter of [base, stub]) {
    const i386 = runFilter(filter, { number: 1, architecture: 0x4000_0003, instructionPointer: FROM_GATE });
    assert.equal(i386.verdict, ENOSYS);
    assert.equal(judge(filter, 0x4000_0000), ENOSYS);
    assert.equal(judge(filter, 0x4000_0000 + 514), ENOSYS);
    assert.equal(judge(filter, 0xffff_fffe), ENOSYS);
    assert.equal(judge(filter, 0xffff_ffff), ALLOW);
  }
});

test("without a condition the table's treatment is the verdict, for every number", () => {
  for (const [name, { base: treatment, stub: stubClass, stubWhen }] of Object.entries(TREATMENTS)) {
    const number = name as SyscallName;
    if (treatment.kind === 'native') assert.equal(judge(base, number), ALLOW, name);
    if (treatment.kind === 'trap' && !treatment.when) assert.equal(judge(base, number), TRACE, name);
    if (treatment.kind === 'refuse' && !treatment.when) {
      assert.equal(judge(base, number), failWith(treatment.errno), name);
    }
    if (!stubWhen) assert.equal(judge(stub, number), stubClass === 'direct' ? ALLOW : TRACE, name);
  }
});

test('a number that Linux does not have is left to the kernel in the base, and stops in a stub', () => {
  for (const number of everyNumber) {
    if (Object.values(SYS).some((known) => known === number)) continue;
    assert.equal(judge(base, number), ALLOW, `call ${number}`);
    assert.equal(judge(stub, number), TRACE, `call ${number}`);
  }
});

test('native calls are allowed by architecture and number alone, so that the kernel can skip the filter', () => {
  for (const [name, treatment] of Object.entries(TREATMENTS)) {
    const number = SYS[name as SyscallName];
    if (treatment.base.kind === 'native') assert.ok(!runFilter(base, { number }).readOther, name);
    if (treatment.stub === 'direct') assert.ok(!runFilter(stub, { number }).readOther, name);
  }
});

const CLONE_VM = 0x100;
const CLONE_UNTRACED = 0x80_0000;

const baseConditions: [verdict: number, call: SyscallName, ...args: (number | bigint)[]][] = [
  [TRACE, 'madvise', 0, 4096, 4],
  [TRACE, 'madvise', 0, 4096, 24],
  [TRACE, 'madvise', 0, 4096, 102],
  [ALLOW, 'madvise', 0, 4096, 3],
  [ALLOW, 'madvise', 4, 4, 14],
  [EINVAL, 'process_madvise', 5, 0x1000, 1, 4],
  [ALLOW, 'process_madvise', 4, 4, 4, 20],
  [TRACE, 'clone', 17],
  [TRACE, 'clone', CLONE_VM | CLONE_UNTRACED],
  [ALLOW, 'clone', 0x3d0f00],
  [TRACE, 'prctl', 22, 2, 0x1000],
  [ALLOW, 'prctl', 15, 22],
  [EINVAL, 'arch_prctl', 0x5001, 1],
  [ALLOW, 'arch_prctl', 0x1002, 0x7fff_0000],
  [TRACE, 'futex', 0x1000, 0x80],
  [TRACE, 'futex', 0x1000, 0x189],
  [ALLOW, 'futex', 0x80, 0],
  [ALLOW, 'futex', 0x1000, 0x109],
  [ALLOW, 'futex', 0x1000, 6],
  [EBADF, 'close', 1000],
  [EBADF, 'close', 0xffff_ffff_0000_03e8n],
  [ALLOW, 'close', 999],
  [EBADF, 'dup2', 3, 1000],
  [EBADF, 'dup3', 3, 1000, 0],
  [ALLOW, 'dup2', 1000, 3],
  [EINVAL, 'ioctl', 3, 0xaa00],
  [ALLOW, 'ioctl', 0xaa00, 0x5401],
];

for (const [verdict, call, ...args] of baseConditions) {
  test(`in the base, ${call}(${args.join(', ')}) gets 0x${verdict.toString(16)}`, () => {
    assert.equal(judge(base, call, ...args), verdict);
  });
}

const stubConditions: typeof baseConditions = [
  [TRACE, 'madvise', 0, 4096, 3],
  [TRACE, 'futex', 0x1000, 0x80],
  [TRACE, 'futex', 0x1000, 6],
  [TRACE, 'futex', 0x1000, 0x10b],
  [TRACE, 'futex', 0x1000, 13],
  [ALLOW, 'futex', 0x1000, 0],
  [ALLOW, 'futex', 0x1000, 0x109],
  [ALLOW, 'ppoll', 1, 1, 1, 0, 8],
  [TRACE, 'ppoll', 0, 0, 0, 0x1000, 8],
  [TRACE, 'ppoll', 0, 0, 0, 0x7f00_0000_0000n, 8],
  [ALLOW, 'pselect6', 1, 1, 1, 1, 1, 0],
  [TRACE, 'pselect6', 0, 0, 0, 0, 0, 0x1000],
  [ALLOW, 'epoll_pwait', 4, 0x1000, 1, -1n & 0xffff_ffffn, 0, 8],
  [TRACE, 'epoll_pwait', 4, 0x1000, 1, 0, 0x1000, 8],
  [TRACE, 'epoll_pwait2', 4, 0x1000, 1, 0, 0x1000, 8],
  [TRACE, 'clock_gettime', 2, 0x1000],
  [TRACE, 'clock_gettime', 3, 0x1000],
  [TRACE, 'clock_gettime', 0xffff_fff2, 0x1000],
  [ALLOW, 'clock_gettime', 1, 2],
  [ALLOW, 'clock_nanosleep', 1, 3],
  [TRACE, 'clock_nanosleep', 2, 0, 0x1000],
  [ALLOW, 'arch_prctl', 0x1002, 0x1000],
  [TRACE, 'arch_prctl', 0x1023, 18],
  [TRACE, 'fcntl', 3, 6, 0x1000],
  [ALLOW, 'fcntl', 3, 37, 0x1000],
  [TRACE, 'fcntl', 3, 1024, 1],
  [ALLOW, 'ioctl', 3, 0x541b],
  [TRACE, 'ioctl', 3, 0x5410],
];

for (const [verdict, call, ...args] of stubConditions) {
  test(`in a stub, ${call}(${args.join(', ')}) gets 0x${verdict.toString(16)}`, () => {
    assert.equal(judge(stub, call, ...args), verdict);
  });
}

test('while a signalfd is in use, a stub stops at what may read it or wait for it', () => {
  const stopping: SyscallName[] = ['read', 'readv', 'preadv2', 'poll', 'ppoll', 'select', 'pselect6'];
  for (const call of [...stopping, 'epoll_wait', 'epoll_pwait', 'epoll_pwait2'] as SyscallName[]) {
    assert.equal(judge(stub, call), ALLOW, call);
    assert.equal(judge(stubWithSignalfd, call), TRACE, call);
  }
  assert.equal(judge(stubWithSignalfd, 'write'), ALLOW);
});

test('options that would make an unsound filter are refused', () => {
  for (const wrong of [
    { marker: SYS.read },
    { marker: 0x4000_0000 },
    { gateEnd: GATE.gateStart },
    { gateEnd: 2 ** 46 },
  ]) {
    assert.throws(() => baseFilter({ ...OPTIONS, ...wrong }), AtlasError, JSON.stringify(wrong));
  }
});

test('a jump that does not reach is widened', () => {
  const program = new BpfAssembler();
  const far = program.label('far');
  const farther = program.label('farther');
  program.load(0).branch('greaterOrEqual', 10, far, 'next').branch('equal', 7, 'next', farther);
  for (let step = 0; step < 300; step++) program.load(16);
  program.return(1).place(far).return(2).place(farther).return(3);
  const code = program.assemble();
  assert.equal(runFilter(code, { number: 10 }).verdict, 2);
  assert.equal(runFilter(code, { number: 7 }).verdict, 1);
  assert.equal(runFilter(code, { number: 6 }).verdict, 3);
});

test('a jump to a label that is missing, or behind, is a defect', () => {
  const missing = new BpfAssembler();
  assert.throws(() => missing.jump(missing.label('nowhere')).assemble(), /nowhere/);
  const back = new BpfAssembler();
  const start = back.label('start');
  assert.throws(() => back.place(start).load(0).jump(start).assemble(), /start/);
});

/** Fails getpid, kills at kill, returns the low half of the first argument for personality, allows the rest. */
function programFilter(): Uint8Array {
  const program = new BpfAssembler();
  const [fail, kill, argument] = ['fail', 'kill', 'argument'].map((name) => program.label(name));
  program
    .load(0)
    .branch('equal', SYS.getpid, fail, 'next')
    .branch('equal', SYS.kill, kill, 'next')
    .branch('equal', SYS.personality, argument, 'next')
    .return(ALLOW)
    .place(fail)
    .return(failWith(1))
    .place(kill)
    .return(0x8000_0000)
    .place(argument)
    .load(16)
    .keepAccumulator()
    .returnKept();
  return program.assemble();
}

function exempted(filter: Uint8Array): Uint8Array {
  const result = exemptGate(filter, GATE);
  assert.ok('filter' in result);
  return result.filter;
}

test("the program's filter judges its own calls as before, and spares those from the gate", () => {
  const original = programFilter();
  const exempt = exempted(original);
  for (const name of ['getpid', 'kill', 'personality', 'read'] as SyscallName[]) {
    const call = { number: SYS[name], arguments: [0x7_0005_0002n] };
    for (const instructionPointer of [0n, BigInt(GATE.gateStart), BigInt(GATE.gateEnd) + 1n]) {
      const outside = { ...call, instructionPointer };
      assert.equal(runFilter(exempt, outside).verdict, runFilter(original, outside).verdict, name);
    }
    assert.equal(runFilter(exempt, { ...call, instructionPointer: FROM_GATE }).verdict, ALLOW, name);
  }
  assert.ok(!runFilter(exempt, { number: SYS.read }).readOther, 'what it allows by number stays so');
});
