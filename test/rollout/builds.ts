/** Test programs in several versions, and the patches from one to the next. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildPatch } from '../../src/patch/build.js';
import { PROJECT } from '../harness/paths.js';

const execute = promisify(execFile);
/** Some compilers begin every function with endbr64 unless told not to: sizes shall not depend on that. */
const COMPILE = [
  '-std=gnu11',
  '-O2',
  '-g',
  '-pthread',
  '-ffunction-sections',
  '-fdata-sections',
  '-fcf-protection=none',
];

export const source = (name: string): string => join(PROJECT, 'test/rollout', name);

/** One C file of this folder, linked once; its other versions are patches. */
export class Builds {
  readonly executable: string;

  private constructor(
    readonly folder: string,
    readonly file: string,
    readonly flags: readonly string[],
  ) {
    this.executable = join(folder, 'program');
  }

  static async make(folder: string, file: string, flags: readonly string[] = []): Promise<Builds> {
    const builds = new Builds(folder, file, flags);
    await execute('gcc', ['-pthread', ...flags, await builds.object(1), '-o', builds.executable]);
    return builds;
  }

  async object(version: number, extraFlags: readonly string[] = []): Promise<string> {
    const object = join(this.folder, `version-${[version, ...extraFlags].join('')}.o`);
    const flags = [...COMPILE, ...this.flags, ...extraFlags, `-DVERSION=${version}`];
    await execute('gcc', [...flags, '-c', source(this.file), '-o', object], { cwd: this.folder });
    return object;
  }

  /** The patch file that turns a running `from` into `to`. */
  async patch(from: number, to: number): Promise<string> {
    const file = join(this.folder, `${from}-${to}.atlas`);
    const { bytes } = buildPatch({
      old: await this.object(from),
      new: await this.object(to),
      target: this.executable,
      name: `version-${to}`,
    });
    await writeFile(file, bytes);
    return file;
  }
}
