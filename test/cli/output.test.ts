import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hexDump } from '../../src/cli/output/hex-dump.js';
import { table } from '../../src/cli/output/table.js';
import * as parse from '../../src/cli/parse.js';

describe('table', () => {
  it('aligns columns and leaves no blanks at the ends of lines', () => {
    const rows = [
      { name: 'a', size: 5 },
      { name: 'longer', size: 1234 },
    ];
    const text = table(rows, [
      { title: 'NAME', cell: (row) => row.name },
      { title: 'SIZE', align: 'right', cell: (row) => row.size },
      { title: 'NOTE', cell: (row) => (row.size > 10 ? 'big' : '') },
    ]);
    assert.equal(text, ['NAME    SIZE  NOTE', 'a          5', 'longer  1234  big', ''].join('\n'));
  });
});

describe('hex dump', () => {
  it('has the layout of hexdump -C', () => {
    const bytes = Buffer.from('Hello, \x00world\x7f\xffabcde', 'latin1');
    assert.equal(
      hexDump(0x55d0c8a01139, bytes),
      [
        '55d0c8a01139  48 65 6c 6c 6f 2c 20 00  77 6f 72 6c 64 7f ff 61  |Hello, .world..a|',
        '55d0c8a01149  62 63 64 65                                       |bcde|',
        '',
      ].join('\n'),
    );
  });
});

describe('option values', () => {
  it('are read in the forms that the help names', () => {
    assert.equal(parse.address('0x0000AB'), '0xab');
    assert.equal(parse.address('0x7fffffffffff'), '0x7fffffffffff');
    assert.equal(parse.byteCount('0x40'), 64);
    assert.equal(parse.hexBytes('B8 2a\n00'), 'b82a00');
    assert.equal(parse.seconds('0.5'), 0.5);
    assert.equal(parse.generationId('12'), 12);
    assert.equal(parse.threadId('4711'), 4711);
  });

  for (const [name, text] of [
    ['address', '4096'],
    ['address', '0x800000000000'],
    ['address', '0x'],
    ['byteCount', '0'],
    ['byteCount', '-1'],
    ['hexBytes', 'abc'],
    ['hexBytes', ''],
    ['seconds', '-1'],
    ['seconds', '1e3'],
    ['generationId', '-1'],
    ['generationId', '1.5'],
    ['threadId', '0'],
  ] as const) {
    it(`are refused: ${name} "${text}"`, () => {
      assert.throws(() => parse[name](text), /expected/);
    });
  }
});
