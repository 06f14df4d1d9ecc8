import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { test } from 'node:test';
import { DWARF_REGISTER_NAMES, RIP } from '../../src/dwarf/registers.js';
import { UnwindModule, type UnwindRule } from '../../src/dwarf/unwind-module.js';
import { compile, mappedFiles } from './live-program.js';

interface Row {
  address: number;
  /** As readelf writes it: `rsp+16` or `exp`. */
  cfa: string;
  rules: Map<string, string>;
}

interface Description {
  start: number;
  end: number;
  rows: Row[];
}

/** The interpreted table of `readelf --debug-dump=frames-interp`, one description for each FDE. */
function readelfTable(file: string): Description[] {
  const { stdout } = spawnSync('readelf', ['-wF', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const descriptions: Description[] = [];
  let current: Description | undefined;
  let columns: string[] = [];
  for (const line of stdout.split('\n')) {
    const header = / FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)/.exec(line);
    if (header) {
      current = { start: Number.parseInt(header[1]!, 16), end: Number.parseInt(header[2]!, 16), rows: [] };
      descriptions.push(current);
      continue;
    }
    // A rule that names another register comes as its number and name: `r8 (r8)`, `r1 (rdx)`.
    const fields = line
      .trim()
      .replace(/\br\d+ \((\w+)\)/g, '$1')
      .split(/\s+/);
    if (/ CIE /.test(line)) current = undefined;
    else if (fields[0] === 'LOC') columns = fields.slice(2);
    else if (current && /^[0-9a-f]{16} /.test(line)) {
      const rules = new Map(columns.map((name, i) => [name, fields[i + 2]!]));
      current.rows.push({ address: Number.parseInt(fields[0]!, 16), cfa: fields[1]!, rules });
    }
  }
  return descriptions;
}

/** One of our rules in readelf's notation. `u` there means both "undefined" and "no rule yet". */
function notation(rule: UnwindRule, register: number): string {
  const found = rule.row.rules.get(register);
  const signed = (offset: number) => (offset < 0 ? `${offset}` : `+${offset}`);
  switch (found?.kind) {
    case undefined:
    case 'undefined':
      return 'u';
    case 'same':
      return 's';
    case 'offset':
      return `c${signed(found.offset)}`;
    case 'value-offset':
      return `v${signed(found.offset)}`;
    case 'register':
      return DWARF_REGISTER_NAMES[found.register]!;
    case 'expression':
      return 'exp';
    case 'value-expression':
      return 'vexp';
  }
}

function assertSameTable(file: string, atLeast: number): void {
  const module = new UnwindModule(readFileSync(file), 0);
  let compared = 0;
  for (const { start, end, rows } of readelfTable(file)) {
    rows.forEach((row, i) => {
      // Several rows for one address: the last one holds, as for the processor that stands there.
      const next = rows[i + 1]?.address ?? end;
      for (const address of new Set([row.address, next - 1])) {
        if (address < row.address) continue;
        const rule = module.ruleAt(address);
        const where = `${file} at 0x${address.toString(16)} of 0x${start.toString(16)}`;
        assert.ok(rule, where);
        const { cfa } = rule.row;
        const ours =
          cfa.kind === 'expression'
            ? 'exp'
            : `${DWARF_REGISTER_NAMES[cfa.register]}${cfa.offset < 0 ? '' : '+'}${cfa.offset}`;
        assert.equal(ours, row.cfa, `CFA, ${where}`);
        for (const [name, expected] of row.rules) {
          const register = name === 'ra' ? RIP : DWARF_REGISTER_NAMES.indexOf(name as 'rax');
          if (register >= 0) assert.equal(notation(rule, register), expected, `${name}, ${where}`);
        }
        if (row.rules.get('ra') === 'u') assert.equal(rule.row.rules.get(RIP)?.kind, 'undefined', where);
        compared++;
      }
    });
  }
  assert.ok(compared >= atLeast, `${file}: only ${compared} rows were compared`);
}

test('the C library, its loader and the test runner have the rows that readelf shows', () => {
  const files = [...mappedFiles(process.pid)].filter((file) => /\/(libc|ld-linux|libstdc)[^/]*$/.test(file));
  assert.ok(files.length >= 2, 'this test runner is not dynamically linked against a C library');
  for (const file of files) assertSameTable(realpathSync(file), 2000);
});

for (const flags of [['-O0'], ['-O2'], ['-O2', '-fno-omit-frame-pointer'], ['-Os', '-mstackrealign']]) {
  test(`a program built with ${flags.join(' ')} has the rows that readelf shows`, () => {
    assertSameTable(compile('program.c', flags), 40);
  });
}

test('without .eh_frame_hdr the section itself is scanned, to the same rules', () => {
  const indexed = compile('program.c', ['-O2', '-no-pie']);
  const scanned = compile('program.c', ['-O2', '-no-pie', '-Wl,--no-eh-frame-hdr']);
  assertSameTable(scanned, 40);
  assert.equal(readelfTable(scanned).length, readelfTable(indexed).length);
});

test('an address between two descriptions, or outside the code, has no rule', () => {
  const file = compile('program.c', ['-O2']);
  const module = new UnwindModule(readFileSync(file), 0x5555_0000_0000);
  const described = readelfTable(file).map(({ start, end }) => ({ start, end }));
  const covers = (address: number) => described.some(({ start, end }) => start <= address && address < end);
  const gaps = described.map(({ end }) => end).filter((end) => !covers(end));
  assert.ok(gaps.length > 0, 'the program has no gap between its functions');
  for (const gap of gaps) assert.equal(module.ruleAt(0x5555_0000_0000 + gap), undefined);
  assert.equal(module.ruleAt(0x5555_0000_0000), undefined);
  assert.equal(module.ruleAt(0), undefined);
  assert.deepEqual(module.extentAt(0x5555_0000_0000 + described[1]!.start), {
    start: 0x5555_0000_0000 + described[1]!.start,
    end: 0x5555_0000_0000 + described[1]!.end,
  });
});

test('what is not an x86-64 ELF file is refused', () => {
  assert.throws(() => new UnwindModule(new Uint8Array(4096), 0), { kind: 'bad-input' });
  assert.throws(() => new UnwindModule(readFileSync(compile('program.c', ['-O2'])).subarray(0, 70), 0), {
    kind: 'bad-input',
  });
});
