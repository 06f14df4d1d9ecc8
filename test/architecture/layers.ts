/**
 * Which folder of src/ may import from which, lowest first. An entry may name only folders above it in this
 * list, so that arrows point downwards and cannot form a cycle; src/README.md shows the same as a picture.
 */
export const LAYERS: readonly (readonly [folder: string, mayImport: readonly string[]])[] = [
  ['errors', []],
  ['linux', ['errors']],
  ['x64', ['errors', 'linux']],
  ['memory', ['errors', 'linux']],
  // These three compute on bytes that they are given; no process, and no system call but reading a file.
  ['elf', ['errors']],
  ['dwarf', ['errors', 'elf']],
  ['patch', ['errors', 'elf']],
  ['process', ['errors', 'linux', 'x64', 'memory']],
  ['syscalls', ['errors', 'linux', 'x64', 'memory', 'process']],
  ['rollout', ['errors', 'linux', 'x64', 'memory', 'elf', 'dwarf', 'patch', 'process', 'syscalls']],
  ['supervisor', ['errors', 'linux', 'x64', 'memory', 'patch', 'process', 'syscalls', 'rollout']],
  // Of the supervisor: the plain data of its protocol.
  ['api', ['errors', 'linux', 'supervisor']],
  // The supervisor itself is started by `atlas run`; of x64, the record that the starter leaves.
  ['cli', ['errors', 'linux', 'x64', 'elf', 'patch', 'process', 'supervisor', 'api']],
];

/** Outside the supervisor and the command line, its only file that others may know. */
export const SUPERVISOR_PROTOCOL = 'supervisor/protocol.ts';

/** Folders beside src/ that are users of Atlas: of src/ they may import only what any program can. */
export const USERS: readonly (readonly [folder: string, mayImport: readonly string[]])[] = [
  ['examples', ['src/api', 'src/errors']],
  // The bench measures with the examples' load generator and servers.
  ['bench', ['src/api', 'src/errors', 'examples']],
];
