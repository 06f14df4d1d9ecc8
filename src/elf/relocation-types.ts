/** Relocation types of x86-64, numbered as in the psABI ("Relocation Types") and <elf.h>. */
export const R_X86_64 = {
  NONE: 0,
  64: 1,
  PC32: 2,
  COPY: 5,
  GLOB_DAT: 6,
  JUMP_SLOT: 7,
  RELATIVE: 8,
  PLT32: 4,
  GOTPCREL: 9,
  32: 10,
  '32S': 11,
  DTPMOD64: 16,
  DTPOFF64: 17,
  TPOFF64: 18,
  TLSGD: 19,
  TLSLD: 20,
  DTPOFF32: 21,
  GOTTPOFF: 22,
  TPOFF32: 23,
  PC64: 24,
  GOTOFF64: 25,
  GOTPC32: 26,
  GOT64: 27,
  GOTPCREL64: 28,
  GOTPC64: 29,
  GOTPLT64: 30,
  PLTOFF64: 31,
  GOTPC32_TLSDESC: 34,
  TLSDESC_CALL: 35,
  IRELATIVE: 37,
  GOTPCRELX: 41,
  REX_GOTPCRELX: 42,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(R_X86_64).map(([name, number]) => [number, `R_X86_64_${name}`]),
);

export function relocationName(type: number): string {
  return NAMES.get(type) ?? `relocation type ${type}`;
}
