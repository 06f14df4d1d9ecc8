import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rename, stat } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PROGRAMS } from './paths.js';

const execute = promisify(execFile);

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-g', '-Wall', '-pthread'];
const LIBRARIES = ['-ldl', '-lrt'];
/** What the programs share. */

/** Compiles once per content: the result is named by the hash of everything that goes into it. */
export async function compileC(source: string, extraFlags: readonly string[] = []): Promise<string> {
  const flags = [...FLAGS, ...extraFlags];
  const hash = createHash('sha256').update(flags.join('\0'));
  hash.update(await readFile(source));
  for (const folder of new Set([PROGRAMS, dirname(source)]))
    for (const header of (await readdir(folder)).filter((name) => name.endsWith('.h')).toSorted())
      hash.update(await readFile(join(folder, header)));
  const folder = join(tmpdir(), `atlas-test-programs-${userInfo().uid}`, hash.digest('hex').slice(0, 24));
  const program = join(folder, basename(source, '.c'));
  if (await exists(program)) return program;
  await mkdir(folder, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  await execute('gcc', [...flags, '-I', PROGRAMS, '-o', unfinished, source, ...LIBRARIES]);
  await chmod(unfinished, 0o755);
  // Several test files may compile the same program at once: only a finished one gets the final name.
  await rename(unfinished, program);
  return program;
}

export function compileProgram(name: string): Promise<string> {
  return compileC(join(PROGRAMS, `${name}.c`));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
