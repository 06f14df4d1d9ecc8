/** The file of 64-bit integers that a test program publishes its threads' findings in. */
import { readFile } from 'node:fs/promises';

/** `count` records with these fields each; zero where the program has not written yet. */
export async function readRecords<F extends string>(
  file: string,
  count: number,
  fields: readonly F[],
): Promise<Record<F, number>[]> {
  const bytes = await readFile(file);
  return Array.from({ length: count }, (_, index) => {
    const values = fields.map((field, at): [F, number] => {
      const offset = (index * fields.length + at) * 8;
      return [field, offset + 8 <= bytes.length ? Number(bytes.readBigInt64LE(offset)) : 0];
    });
    return Object.fromEntries(values) as Record<F, number>;
  });
}
