import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { isInstalled } from './command.js';

/** What both halves of the live patching need: the program that runs, and the objects before and after the fix. */
export interface Target {
  name: string;
  executable: string;
  /** An object file, or a folder of them. */
  oldObjects: string;
  newObjects: string;
  /** The first line of the fix's description. */
  fix: string;
  /** The command line that serves on this port of the loopback. */
  serve(port: number): string[];
}

/** A section for each function and each datum: that is what the patch builder compares. */
export const COMPILER_FLAGS = ['-O2', '-g', '-ffunction-sections', '-fdata-sections'];

/** The checkout's root: compiled files live in `dist/`, but C sources and patches are read from where they are. */
export function repositoryRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder)
      throw new AtlasError('internal', `no package.json above ${import.meta.dirname}`);
    folder = dirname(folder);
  }
  return folder;
}

export async function requireCompiler(): Promise<void> {
  if (await isInstalled('gcc')) return;
  throw new AtlasError(
    'unsupported-machine',
    'gcc is not installed, and the example server is built from source',
    'Install it with `apt-get install gcc libc6-dev` (Debian, Ubuntu) or `dnf install gcc` (Fedora), then try again.',
  );
}
