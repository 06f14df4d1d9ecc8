/** What a generation sees: its bytes, its areas, and writing bytes that only it has. */
import { AtlasError } from '../errors/atlas-error.js';
import { readElf } from '../elf/index.js';
import { readMaps } from '../linux/proc.js';
import { isStoreArea } from '../process/mapping.js';
import type { Generation, Process } from '../process/model.js';
import { readText, writeText } from '../process/text.js';
import { readFileSync } from 'node:fs';

export interface ViewedArea {
  start: number;
  end: number;
  protection: string;
  view: 'shared' | 'unshared' | 'private';
  name: string;
}

export const generationOf = (process: Process, id: number): Generation => {
  const generation = process.space.generations.get(id);
  if (!generation) {
    throw new AtlasError(
      'bad-usage',
      `Process ${process.pid} has no generation ${id}.`,
      'See `atlas generation list`.',
    );
  }
  return generation;
};

export function areasOf(generation: Generation): ViewedArea[] {
  return readMaps(generation.hostPid).map((area) => {
    const own = generation.divergences.some(
      ({ address, bytes }) => address < area.end && address + bytes.length > area.start,
    );
    return {
      start: area.start,
      end: area.end,
      protection: area.permissions,
      view: own ? 'unshared' : area.permissions[3] === 's' ? 'shared' : 'private',
      name: isStoreArea(area) ? '[store]' : area.name,
    };
  });
}

/** Where the main executable is loaded, relative to its link addresses. */
export function loadBias(process: Process): number {
  const elf = readElf(readFileSync(`/proc/${process.pid}/exe`), process.executable);
  const first = elf.segments.filter((segment) => segment.type === 1).sort((a, b) => a.address - b.address)[0];
  const mapped = readMaps(process.pid).find((area) => area.name === process.executable);
  if (!first || !mapped)
    throw new AtlasError('refused', `The executable of process ${process.pid} is not mapped.`);
  return mapped.start - (first.address - (first.address % 4096));
}

/** @param symbol `name` or `name+offset` */
export function addressOfSymbol(process: Process, symbol: string): number {
  const match = /^([^+]+)(?:\+(0x[0-9a-fA-F]+|\d+))?$/.exec(symbol);
  const elf = readElf(readFileSync(`/proc/${process.pid}/exe`), process.executable);
  const address = match ? elf.symbolAddress(match[1]!) : undefined;
  if (!match || address === undefined) {
    throw new AtlasError(
      'bad-input',
      `${process.executable} has no symbol ${symbol}.`,
      'Is the executable stripped? Use --address.',
    );
  }
  return loadBias(process) + address + Number(match[2] ?? 0);
}

export function readView(generation: Generation, address: number, length: number): Uint8Array {
  const bytes = readText(generation, address, length);
  if (bytes.length < length) {
    throw new AtlasError(
      'bad-input',
      `0x${address.toString(16)} + ${length} is not mapped in generation ${generation.id}.`,
      'See `atlas areas`.',
    );
  }
  return bytes;
}

/** Bytes that only this generation has: in text or read-only data, which is private and diverges as it is written. */
export function writeView(generation: Generation, address: number, bytes: Uint8Array): void {
  const end = address + bytes.length;
  const areas = readMaps(generation.hostPid).filter((area) => area.start < end && area.end > address);
  const covered = areas.reduce(
    (sum, area) => sum + Math.min(area.end, end) - Math.max(area.start, address),
    0,
  );
  if (covered < bytes.length) {
    throw new AtlasError(
      'bad-input',
      `0x${address.toString(16)} + ${bytes.length} is not mapped.`,
      'See `atlas areas`.',
    );
  }
  for (const area of areas) {
    if (area.permissions[3] !== 's' && area.permissions[1] !== 'w' && !area.name.startsWith('[')) continue;
    throw new AtlasError(
      'refused',
      `0x${address.toString(16)} is in memory that all generations share (${isStoreArea(area) ? 'data' : area.name}).`,
      'Only text and read-only data of a file can differ between generations.',
    );
  }
  if (!writeText(generation, address, bytes))
    throw new Error(`writing generation ${generation.id} at 0x${address.toString(16)}`);
  if (generation.agent) generation.divergences.push({ address, bytes: Uint8Array.from(bytes) });
}
