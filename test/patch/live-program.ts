import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { type ElfFile, PT, readElf } from '../../src/elf/index.js';
import {
  type AppliedPatches,
  linkPatch,
  LoadedLibraries,
  type LoadedModule,
  type PatchPlan,
  planPatch,
  readLinkMap,
  readPatch,
  rememberPatch,
  type TargetProgram,
} from '../../src/patch/index.js';
import type { Workshop } from './compile.js';

/** The host program, running: patches are linked against its memory and really executed. */
export class LiveProgram implements Disposable {
  readonly elf: ElfFile;
  applied: AppliedPatches | undefined;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #workshop: Workshop;
  #loadBias = 0;
  #scripts = 0;

  private constructor(workshop: Workshop, path: string, preload: string) {
    this.#workshop = workshop;
    this.elf = readElf(readFileSync(path), path);
    this.#child = spawn(path, { env: { ...process.env, LD_PRELOAD: preload } });
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async start(workshop: Workshop, path: string, preload = ''): Promise<LiveProgram> {
    const program = new LiveProgram(workshop, path, preload);
    const first = Math.min(
      ...program.elf.segments.filter(({ type }) => type === PT.LOAD).map((s) => s.address),
    );
    program.#loadBias = Number.parseInt(await program.#line(), 16) - first;
    return program;
  }

  /** What the subject reports now. */
  run(): Promise<string> {
    return this.#ask('run');
  }

  /** What the dynamic linker finds under a name; undefined for nothing. */
  async symbol(name: string): Promise<number | undefined> {
    return Number.parseInt(await this.#ask(`symbol ${name}`), 16) || undefined;
  }

  /** The executable first, then the libraries in the order in which they are searched. */
  get modules(): LoadedModule[] {
    const map = readLinkMap(this.elf, this.#loadBias, (address, length) => this.#read(address, length));
    return map.flatMap(({ name, loadBias }, index) => {
      if (index === 0) return [{ elf: this.elf, name, loadBias }];
      return name.startsWith('/') ? [{ elf: readElf(readFileSync(name), name), name, loadBias }] : [];
    });
  }

  target(): TargetProgram & { libraries: LoadedLibraries } {
    return {
      elf: this.elf,
      loadBias: this.#loadBias,
      readText: (address, length) => this.#read(address, length),
      libraries: new LoadedLibraries(this.modules, (address) =>
        Number(Buffer.from(this.#read(address, 8)).readBigUInt64LE()),
      ),
      ...(this.applied === undefined ? {} : { applied: this.applied }),
    };
  }

  /** Plans, links, maps and activates a patch, as the supervisor would. */
  async apply(bytes: Uint8Array): Promise<PatchPlan> {
    const patch = readPatch(bytes, 'test.atlas');
    const plan = planPatch(patch, this.target());
    const linked = linkPatch(plan, this.#freeAddress(plan));
    const hex = (content: Uint8Array) => Buffer.from(content).toString('hex');
    const script = [
      ...linked.image.map(
        ({ address, bytes: content, protection }) =>
          `map ${address.toString(16)} ${protection} ${hex(content)}`,
      ),
      ...linked.jumps.map(({ address, newBytes }) => `poke ${address.toString(16)} rx ${hex(newBytes)}`),
    ];
    await this.#ask(`load ${this.#workshop.write(`script${this.#scripts++}`, `${script.join('\n')}\n`)}`);
    this.applied = rememberPatch(this.applied, linked);
    return plan;
  }

  async end(): Promise<number | null> {
    this.#child.stdin.end();
    const [code] = await once(this.#child, 'exit');
    return code;
  }

  [Symbol.dispose](): void {
    this.#reader.close();
    this.#child.kill('SIGKILL');
  }

  async #ask(question: string): Promise<string> {
    this.#child.stdin.write(`${question}\n`);
    return this.#line();
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the program ended: ${this.#child.exitCode ?? this.#child.signalCode}`);
    return value;
  }

  #read(address: number, length: number): Uint8Array {
    const memory = openSync(`/proc/${this.#child.pid}/mem`, 'r');
    try {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(memory, buffer, 0, length, address));
    } finally {
      closeSync(memory);
    }
  }

  /** The free range nearest to the program's own mappings. */
  #freeAddress({ size, placement }: PatchPlan): number {
    const maps = readFileSync(`/proc/${this.#child.pid}/maps`, 'utf8').trim().split('\n');
    const ranges = maps.map((line) =>
      /^(\w+)-(\w+)/
        .exec(line)!
        .slice(1)
        .map((hex) => Number.parseInt(hex, 16)),
    );
    for (const [, end] of ranges) {
      const start = end! + 0x100000;
      const isFree = ranges.every(([from, to]) => to! <= start || from! >= start + size);
      if (isFree && start >= placement.lowest && start <= placement.highest) return start;
    }
    throw new Error('no free address near the program');
  }
}
