import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { SYS, SYSCALL_LIMIT, type SyscallName, syscallName } from '../../src/linux/syscall-numbers.js';
import { FAMILIES, refusalErrno, stubClassOf, TREATMENTS, treatmentOf } from '../../src/syscalls/table.js';

const HEADER = '/usr/include/x86_64-linux-gnu/asm/unistd_64.h';
const ENOSYS = 38;

test('every number of the system header is in SYS, under its name', { skip: !existsSync(HEADER) }, () => {
  let seen = 0;
  for (const [, name, number] of readFileSync(HEADER, 'utf8').matchAll(/^#define __NR_(\w+) (\d+)$/gm)) {
    assert.equal(SYS[name as SyscallName], Number(number), name);
    seen++;
  }
  assert.ok(seen > 300, `${seen} numbers in ${HEADER}`);
});

test('no number is used twice, and names and numbers agree', () => {
  const numbers = Object.values(SYS);
  assert.equal(new Set(numbers).size, numbers.length);
  for (const [name, number] of Object.entries(SYS)) assert.equal(syscallName(number), name);
  assert.equal(syscallName(SYSCALL_LIMIT), `syscall_${SYSCALL_LIMIT}`);
});

test('every call is in exactly one family, with a reason', () => {
  const families = new Map<string, string>();
  for (const { title, calls } of FAMILIES) {
    for (const name of Object.keys(calls)) {
      assert.equal(families.get(name), undefined, `${name} is in two families`);
      families.set(name, title);
    }
  }
  assert.deepEqual([...families.keys()].sort(), Object.keys(SYS).sort());
  for (const [name, { reason, partial }] of Object.entries(TREATMENTS)) {
    assert.ok(reason.length > 10, `${name} has no reason`);
    assert.ok(partial === undefined || partial.length > 10, `${name} is partial without saying how`);
  }
});

test('the lookup by number agrees with the table', () => {
  for (const [name, number] of Object.entries(SYS)) {
    assert.equal(stubClassOf(number), TREATMENTS[name as SyscallName].stub, name);
    assert.equal(treatmentOf(number), TREATMENTS[name as SyscallName], name);
  }
});

test('a number that Linux does not have is refused with ENOSYS', () => {
  for (const number of [SYSCALL_LIMIT, 400, 100_000, 0xffff_ffff, -1]) {
    assert.equal(stubClassOf(number), 'refused');
    assert.equal(refusalErrno(number), ENOSYS);
    assert.equal(treatmentOf(number), undefined);
  }
});

test('what is refused in a stub is refused in the base, with the same errno', () => {
  for (const [name, { stub, base }] of Object.entries(TREATMENTS)) {
    if (stub !== 'refused') continue;
    assert.ok(base.kind === 'refuse' && base.when === undefined, name);
    assert.equal(refusalErrno(SYS[name as SyscallName]), base.errno, name);
  }
});
