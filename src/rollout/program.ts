/** The running program as the patcher and the unwinder see it: its executable, its libraries, its code. */
import { readFileSync } from 'node:fs';
import { UnwindModule } from '../dwarf/unwind-module.js';
import { type ElfFile, readElf } from '../elf/index.js';
import { ProcessMemory } from '../linux/memory.js';
import { type MapsLine, readMaps } from '../linux/proc.js';
import type { Process } from '../process/model.js';
import type { AppliedPatches, TargetProgram } from '../patch/index.js';
import { loadBias, readView } from './view.js';

interface Module {
  name: string;
  start: number;
  end: number;
  bytes: Uint8Array;
  bias: number;
}

const PT_LOAD = 1;

/** The mapped ELF files of a process, read when they are first asked for. */
export class Modules {
  readonly #areas: MapsLine[];
  readonly #modules = new Map<string, Module | undefined>();
  readonly #unwind = new Map<string, UnwindModule>();
  readonly #elf = new Map<string, ElfFile>();

  constructor(readonly process: Process) {
    this.#areas = readMaps(process.space.hostPid);
  }

  /** For the unwinder. */
  readonly find = (pc: number): UnwindModule | undefined => {
    const area = this.#areas.find(({ start, end }) => start <= pc && pc < end);
    const module = area && this.#module(area);
    if (!module) return undefined;
    let unwind = this.#unwind.get(module.name);
    if (!unwind) {
      unwind = new UnwindModule(module.bytes, module.bias);
      this.#unwind.set(module.name, unwind);
    }
    return unwind;
  };

  /** Reads all that unwinding may need, a module at a time: no thread shall stand still for it later. */
  *load(): Generator<void> {
    for (const area of this.#areas) {
      if (area.permissions[2] !== 'x' || this.#modules.has(area.name)) continue;
      this.find(area.start);
      yield;
    }
  }

  /** Where the first shared library that defines it has the symbol. */
  symbolAddress(name: string): number | undefined {
    for (const area of this.#areas) {
      if (area.offset !== 0 || !/\.so(\.|$)/.test(area.name)) continue;
      const module = this.#module(area);
      if (!module) continue;
      let elf = this.#elf.get(module.name);
      if (!elf) {
        elf = readElf(module.bytes, module.name);
        this.#elf.set(module.name, elf);
      }
      const symbol = elf.dynamicSymbols.find(
        (entry) => entry.name === name && entry.section !== 0 && entry.value !== 0,
      );
      if (symbol) return module.bias + symbol.value;
    }
    return undefined;
  }

  #module(area: MapsLine): Module | undefined {
    if (this.#modules.has(area.name)) return this.#modules.get(area.name);
    const module = area.name === '[vdso]' ? this.#vdso(area) : this.#file(area.name);
    this.#modules.set(area.name, module);
    return module;
  }

  #vdso(area: MapsLine): Module {
    using memory = new ProcessMemory(this.process.space.hostPid);
    return {
      name: area.name,
      start: area.start,
      end: area.end,
      bytes: memory.read(area.start, area.end - area.start),
      bias: area.start,
    };
  }

  #file(name: string): Module | undefined {
    if (!name.startsWith('/')) return undefined;
    const areas = this.#areas.filter((area) => area.name === name);
    const first = areas[0]!;
    try {
      const path = name === this.process.executable ? `/proc/${this.process.space.hostPid}/exe` : name;
      const bytes = readFileSync(path);
      const elf = readElf(bytes, name);
      const load = elf.segments
        .filter((segment) => segment.type === PT_LOAD)
        .sort((a, b) => a.address - b.address)[0];
      if (!load) return undefined;
      const bias = first.start - (load.address - (load.address % 4096));
      return { name, start: first.start, end: areas.at(-1)!.end, bytes, bias };
    } catch {
      // Not an ELF file, or deleted: no unwinding through it, and no symbols from it.
      return undefined;
    }
  }
}

export function targetOf(
  process: Process,
  modules: Modules,
  applied: AppliedPatches | undefined,
): TargetProgram {
  return {
    elf: readElf(readFileSync(`/proc/${process.space.hostPid}/exe`), process.executable),
    loadBias: loadBias(process),
    readText: (address, length) => readView(process.space.base, address, length),
    symbolAddress: (name) => modules.symbolAddress(name),
    ...(applied ? { applied } : {}),
  };
}
