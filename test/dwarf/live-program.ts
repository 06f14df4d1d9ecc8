import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReadWord } from '../../src/dwarf/expression.js';
import type { RegisterName } from '../../src/dwarf/registers.js';
import type { FindModule } from '../../src/dwarf/unwind.js';
import { UnwindModule } from '../../src/dwarf/unwind-module.js';

const scratch = mkdtempSync(join(tmpdir(), 'atlas-unwind-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** The C sources stay beside the tests' sources: the compiler does not copy them to its output. */
export function sourceFile(name: string, folder = 'dwarf'): string {
  return fileURLToPath(new URL(`../../../test/${folder}/${name}`, import.meta.url));
}

let compiled = 0;

/** Compiles a C program of this folder; the answer is the path of the executable. */
export function compile(source: string, flags: readonly string[], folder = 'dwarf'): string {
  const output = join(scratch, `program-${compiled++}`);
  const { status, stderr } = spawnSync(
    'gcc',
    ['-o', output, ...flags, sourceFile(source, folder), '-pthread'],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stderr);
  return output;
}

export interface Mapping {
  start: number;
  end: number;
  offset: number;
  path: string;
}

export function mappings(pid: number): Mapping[] {
  const maps: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ *(.*)$/.exec(line);
    if (!match) continue;
    const [start, end, offset] = [1, 2, 3].map((i) => Number.parseInt(match[i]!, 16)) as [
      number,
      number,
      number,
    ];
    maps.push({ start, end, offset, path: match[4]! });
  }
  return maps;
}

export function mappedFiles(pid: number): Set<string> {
  return new Set(
    mappings(pid)
      .map(({ path }) => path)
      .filter((path) => path.startsWith('/')),
  );
}

/** The memory and the modules of a process that does not change meanwhile. */
export class LiveMemory {
  readonly maps: Mapping[];
  readonly #memory: number;
  readonly #modules = new Map<string, UnwindModule | undefined>();

  constructor(pid: number) {
    this.maps = mappings(pid);
    this.#memory = openSync(`/proc/${pid}/mem`, 'r');
  }

  close(): void {
    closeSync(this.#memory);
  }

  /** Reads into `buffer` what is mapped from `address` on; the answer is the number of bytes. */
  readonly read = (address: number, buffer: Uint8Array): number => {
    let length = 0;
    while (length < buffer.length) {
      try {
        const count = readSync(this.#memory, buffer, length, buffer.length - length, address + length);
        if (count === 0) break;
        length += count;
      } catch {
        break;
      }
    }
    return length;
  };

  readonly readWord: ReadWord = (address) => {
    const bytes = new Uint8Array(8);
    return this.read(address, bytes) === 8 ? new DataView(bytes.buffer).getBigUint64(0, true) : undefined;
  };

  readonly find: FindModule = (pc) => {
    const mapping = this.mapping(pc);
    if (mapping === undefined || mapping.path === '') return undefined;
    if (!this.#modules.has(mapping.path)) this.#modules.set(mapping.path, this.#load(mapping));
    return this.#modules.get(mapping.path);
  };

  mapping(address: number): Mapping | undefined {
    return this.maps.find(({ start, end }) => start <= address && address < end);
  }

  #load(mapping: Mapping): UnwindModule | undefined {
    if (mapping.path === '[vdso]') {
      const image = new Uint8Array(mapping.end - mapping.start);
      this.read(mapping.start, image);
      return new UnwindModule(image, mapping.start);
    }
    if (!mapping.path.startsWith('/')) return undefined;
    const bytes = readFileSync(mapping.path);
    const first = this.maps.find(({ path }) => path === mapping.path)!;
    assert.equal(first.offset, 0);
    return new UnwindModule(bytes, first.start - firstLoadAddress(bytes));
  }
}

/** p_vaddr of the first PT_LOAD segment: 0 in position-independent files. */
function firstLoadAddress(elf: Buffer): number {
  const headers = Number(elf.readBigUInt64LE(32));
  for (let i = 0; i < elf.readUInt16LE(56); i++) {
    const header = headers + i * 56;
    if (elf.readUInt32LE(header) === 1) return Number(elf.readBigUInt64LE(header + 16));
  }
  throw new Error('no loadable segment');
}

/** Registers by name, as a tracer would read them. */
export class RegisterSnapshot {
  readonly #values: ReadonlyMap<RegisterName, bigint>;

  constructor(values: ReadonlyMap<RegisterName, bigint>) {
    this.#values = values;
  }

  exact(name: RegisterName): bigint {
    const value = this.#values.get(name);
    assert.notEqual(value, undefined, name);
    return value!;
  }

  get(name: RegisterName): number {
    return Number(this.exact(name));
  }
}

/** A program that has reached its `ready` line and blocks, with what it said about itself. */
export class ReadyProgram {
  readonly pid: number;
  readonly said: ReadonlyMap<string, string>;
  readonly memory: LiveMemory;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, said: Map<string, string>) {
    this.#child = child;
    this.pid = child.pid!;
    this.said = said;
    this.memory = new LiveMemory(this.pid);
  }

  static async start(executable: string, args: readonly string[]): Promise<ReadyProgram> {
    const child = spawn(executable, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const said = new Map<string, string>();
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'ready') return new ReadyProgram(child, said);
      const space = line.indexOf(' ');
      said.set(line.slice(0, space), line.slice(space + 1));
    }
    throw new Error(`${executable} ${args.join(' ')} ended before it was ready`);
  }

  get registers(): RegisterSnapshot {
    const pairs = this.said
      .get('registers')!
      .split(' ')
      .map((pair) => pair.split('=') as [RegisterName, string]);
    return new RegisterSnapshot(new Map(pairs.map(([name, value]) => [name, BigInt(`0x${value}`)])));
  }

  async end(): Promise<void> {
    this.memory.close();
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
