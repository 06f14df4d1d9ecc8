/** A case, compiled: object files before and after, and the executable of the former. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { BATTERY, type Case, type Variant } from './case-file.js';

const execute = promisify(execFile);

const COMPILE = ['-w', '-g', '-pthread', '-ffunction-sections', '-fdata-sections', '-fcf-protection=none'];

/** `gcc -O2 pie`: compiler, level, kind of executable. */
export interface Build {
  name: string;
  compiler: 'gcc' | 'clang';
  compile: string[];
  link: string[];
}

export const BUILDS: Build[] = (['gcc', 'clang'] as const).flatMap((compiler) =>
  ['-O2', '-O0'].flatMap((level) => [
    { name: `${compiler} ${level} pie`, compiler, compile: [level, '-fPIE'], link: ['-pie'] },
    { name: `${compiler} ${level} fixed`, compiler, compile: [level, '-fno-pie'], link: ['-no-pie'] },
  ]),
);

export class CaseBuild {
  readonly #steps = new Map<string, Promise<string>>();

  constructor(
    readonly folder: string,
    readonly subject: Case,
    readonly build: Build,
  ) {}

  before(): Promise<string> {
    return this.#once('before', () => this.#compile('before', []));
  }

  after({ macros }: Variant): Promise<string> {
    const key = ['after', ...macros].join('');
    return this.#once(key, () => this.#compile(key, ['-DAFTER', ...macros]));
  }

  executable(): Promise<string> {
    return this.#once('program', async () => {
      const program = join(await this.#room(), 'program');
      const objects = await this.before();
      const stage = join(await this.#room(), 'stage.o');
      const { compile, compiler, link } = this.build;
      await execute(compiler, [...COMPILE, ...compile, '-c', join(BATTERY, 'stage.c'), '-o', stage]);
      const files = this.subject.sources.filter((file) => isFor(file, false)).map(objectName);
      await execute(this.#linker(), [
        ...files.map((file) => join(objects, file)),
        stage,
        '-o',
        program,
        '-pthread',
        '-Wl,--build-id',
        ...link,
        ...this.subject.link,
      ]);
      return program;
    });
  }

  async #compile(name: string, macros: readonly string[]): Promise<string> {
    const folder = join(await this.#room(), name);
    await mkdir(folder, { recursive: true });
    const files = this.subject.sources.filter((file) => isFor(file, macros.length > 0));
    for (const file of files) {
      const flags = [...COMPILE, ...this.build.compile, ...this.subject.flags, ...macros];
      const output = join(folder, objectName(file));
      await execute(this.build.compiler, [...flags, '-I', BATTERY, '-c', file, '-o', output]);
    }
    return folder;
  }

  /** The compilers tell C++ by a file's name; linking it takes their other driver. */
  #linker(): string {
    const isCpp = this.subject.sources.some((file) => file.endsWith('.cc'));
    const { compiler } = this.build;
    return isCpp ? (compiler === 'gcc' ? 'g++' : 'clang++') : compiler;
  }

  async #room(): Promise<string> {
    const folder = join(this.folder, this.subject.name, this.build.name.replaceAll(' ', ''));
    await mkdir(folder, { recursive: true });
    return folder;
  }

  #once(key: string, make: () => Promise<string>): Promise<string> {
    let step = this.#steps.get(key);
    if (step === undefined) {
      step = make();
      this.#steps.set(key, step);
    }
    return step;
  }
}

/** `store.before.c` and `store.after.c` exist in one of the builds only. */
function isFor(file: string, after: boolean): boolean {
  return !file.includes(after ? '.before.' : '.after.');
}

function objectName(file: string): string {
  return basename(file).replace(/(\.before|\.after)?\.\w+$/, '.o');
}
