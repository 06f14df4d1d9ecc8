/** The running program as the patcher and the unwinder see it: its executable, its libraries, its code. */
import { readFileSync } from 'node:fs';
import { UnwindModule } from '../dwarf/unwind-module.js';
import { type ElfFile, readElf } from '../elf/index.js';
import { ProcessMemory } from '../linux/memory.js';
import { type MapsLine, readMaps } from '../linux/proc.js';
import type { Process, Space } from '../process/model.js';
import {
  type AddressRange,
  type AppliedPatches,
  LoadedLibraries,
  type LoadedModule,
  readLinkMap,
  type TargetProgram,
} from '../patch/index.js';
import { SITE_BYTES } from '../x64/call-sites.js';
import { siteJump, SLOT_SIZE } from '../x64/islands.js';
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

  /** The executable and what the dynamic linker has mapped for it, in its order. */
  libraries(elf: ElfFile, bias: number): LoadedLibraries {
    const { hostPid } = this.process.space;
    const read = (address: number, length: number): Uint8Array => {
      using memory = new ProcessMemory(hostPid);
      return memory.read(address, length);
    };
    const loaded: LoadedModule[] = [{ elf, name: this.process.executable, loadBias: bias }];
    for (const { name, loadBias: start } of readLinkMap(elf, bias, read).slice(1)) {
      // By what is mapped, not by name: the file may have been replaced since.
      const area = this.#areas.find((candidate) => candidate.start === start);
      if (area?.name === '[vdso]') continue;
      const module = area && this.#module(area);
      loaded.push({ elf: module && this.#elfOf(module), name, loadBias: start });
    }
    return new LoadedLibraries(loaded, (address) => {
      const bytes = Buffer.from(read(address, 8));
      return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : undefined;
    });
  }

  #elfOf(module: Module): ElfFile {
    let elf = this.#elf.get(module.name);
    if (!elf) {
      elf = readElf(module.bytes, module.name);
      this.#elf.set(module.name, elf);
    }
    return elf;
  }

  #module(area: MapsLine): Module | undefined {
    if (this.#modules.has(area.name)) return this.#modules.get(area.name);
    const module = area.name === '[vdso]' ? this.#vdso(area) : this.#file(area.name);
    this.#modules.set(area.name, module);
    return module;
  }

  /** Names are those of the program's root; an ordinary user may not go there when the program is not dumpable. */
  #library(name: string): Uint8Array {
    try {
      return readFileSync(`/proc/${this.process.space.hostPid}/root${name}`);
    } catch {
      return readFileSync(name);
    }
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
      const { hostPid } = this.process.space;
      const isExecutable = name === this.process.executable;
      const bytes = isExecutable ? readFileSync(`/proc/${hostPid}/exe`) : this.#library(name);
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
  const elf = readElf(readFileSync(`/proc/${process.space.hostPid}/exe`), process.executable);
  const bias = loadBias(process);
  return {
    elf,
    loadBias: bias,
    readText: (address, length) => readCode(process, elf, bias, address, length),
    libraries: modules.libraries(elf, bias),
    ...(applied ? { applied } : {}),
  };
}

/** Bytes of the base as the program has them: without our breakpoints, and without the jumps of our call sites. */
function readCode(process: Process, elf: ElfFile, bias: number, address: number, length: number): Uint8Array {
  const { space } = process;
  const bytes = readView(space.base, address, length);
  for (const island of space.islands) {
    for (const [index, site] of island.sites.entries()) {
      if (site + SITE_BYTES <= address || site >= address + length) continue;
      const original = elf.bytesAt(site - bias, SITE_BYTES);
      const jump = siteJump(site, island.start + index * SLOT_SIZE);
      if (!original || Buffer.compare(readView(space.base, site, SITE_BYTES), jump) !== 0) continue;
      for (const [offset, byte] of original.entries()) {
        const at = site + offset - address;
        if (at >= 0 && at < length) bytes[at] = byte;
      }
    }
  }
  return bytes;
}

/** The slots of call sites in these ranges: a thread in one is inside of the function that jumped there. */
export function slotsOf({ islands }: Space, ranges: readonly AddressRange[]): AddressRange[] {
  return islands.flatMap(({ start, sites }) =>
    sites.flatMap((site, index) => {
      const range = ranges.find((candidate) => candidate.start <= site && site < candidate.end);
      const slot = start + index * SLOT_SIZE;
      return range ? [{ start: slot - 1, end: slot + SLOT_SIZE }] : [];
    }),
  );
}
