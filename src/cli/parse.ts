/** Parsers of option values. What they throw is shown to the user behind the option's name. */

export function generationId(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error('expected the number of a generation, such as 0 or 1');
  return Number(text);
}

export function threadId(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new Error('expected the number of a thread, as `atlas threads` shows it');
  return Number(text);
}

/** Hexadecimal with 0x, below 2^47 where user space ends; in the form that the protocol carries. */
export function address(text: string): string {
  if (!/^0x[0-9a-f]{1,12}$/i.test(text) || Number(text) >= 2 ** 47) {
    throw new Error('expected a hexadecimal address of user space, such as 0x55d0c8a01139');
  }
  return `0x${Number(text).toString(16)}`;
}

/** A count of bytes: decimal, or hexadecimal with 0x. */
export function byteCount(text: string): number {
  if (!/^(\d{1,9}|0x[0-9a-f]{1,8})$/i.test(text) || Number(text) === 0) {
    throw new Error('expected a count of bytes, such as 64 or 0x40');
  }
  return Number(text);
}

/** Hexadecimal digits, with spaces where the user likes. */
export function hexBytes(text: string): string {
  const digits = text.replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw new Error('expected pairs of hexadecimal digits, such as "b8 2a 00"');
  return digits.toLowerCase();
}

export function seconds(text: string): number {
  if (!/^\d{1,5}(\.\d{1,6})?$/.test(text)) throw new Error('expected seconds, such as 10 or 0.5');
  return Number(text);
}
