const BYTES_PER_LINE = 16;

/** Address, bytes in two groups of eight, and what is printable in ASCII: the layout of `hexdump -C`. */
export function hexDump(address: number, bytes: Uint8Array): string {
  let text = '';
  for (let offset = 0; offset < bytes.length; offset += BYTES_PER_LINE) {
    const line = [...bytes.subarray(offset, offset + BYTES_PER_LINE)];
    const digits = line.map((byte) => byte.toString(16).padStart(2, '0'));
    const groups = `${digits.slice(0, 8).join(' ')}  ${digits.slice(8).join(' ')}`.padEnd(3 * BYTES_PER_LINE);
    const characters = line
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    text += `${(address + offset).toString(16).padStart(12, '0')}  ${groups}  |${characters}|\n`;
  }
  return text;
}
