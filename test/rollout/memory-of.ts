/** What /proc shows of a process's memory from outside. */
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';

/** The lines of /proc/PID/maps, without what grows by itself. */
export async function areaLines(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/maps`, 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.endsWith('[vsyscall]'));
}

/**
 * A hash of each area of a file's image. Its data is not mapped from the file under Atlas: what adjoins the
 * mapped part belongs to it.
 */
export async function hashOfImage(pid: number, path: string): Promise<Record<string, string>> {
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    const hashes: Record<string, string> = {};
    let imageEnd = 0;
    for (const line of await areaLines(pid)) {
      const [start, end] = line
        .split(' ', 1)[0]!
        .split('-')
        .map((digits) => Number.parseInt(digits, 16));
      if (!line.endsWith(path) && start !== imageEnd) continue;
      imageEnd = end!;
      const bytes = Buffer.alloc(end! - start!);
      const { bytesRead } = await memory.read(bytes, 0, bytes.length, start!);
      if (bytesRead < bytes.length) throw new Error(`cannot read all of ${line}`);
      hashes[line] = createHash('sha256').update(bytes).digest('hex');
    }
    return hashes;
  } finally {
    await memory.close();
  }
}
