import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordReader } from '../../src/dwarf/memory-window.js';

test('words are read by pages, across pages, and not beyond the mapping', () => {
  const start = 0x7000_0000;
  const bytes = Uint8Array.from({ length: 8192 + 20 }, (_, i) => (i * 7) % 251);
  const view = new DataView(bytes.buffer);
  let reads = 0;
  const read = wordReader((address, buffer) => {
    reads++;
    if (address < start) return 0;
    const part = bytes.subarray(address - start, address - start + buffer.length);
    buffer.set(part);
    return part.length;
  });
  for (let offset = 0; offset <= 4088; offset += 8) {
    assert.equal(read(start + offset), view.getBigUint64(offset, true));
  }
  assert.equal(reads, 1);
  assert.equal(read(start + 4093), view.getBigUint64(4093, true));
  assert.equal(read(start + 8192 + 12), view.getBigUint64(8192 + 12, true));
  assert.equal(read(start + 8192 + 13), undefined);
  assert.equal(read(start - 8), undefined);
  for (const address of [-8, 2 ** 60, Number.NaN, 0.5]) assert.equal(read(address), undefined);
});
