import { type ElfFile, isDefined, SHF, STT } from '../elf/index.js';
import { FRAME_SECTION, type ImageLayout, type Location } from './image-layout.js';
import type { LoadedModule } from './libraries.js';
import type { PatchObject } from './patch-object.js';

/*
 * Exceptions, the cancellation of threads and backtrace(3) pass through a function only if the unwinder finds its frame
 * description. It looks into the files that the dynamic linker has mapped, and into a list that code made at run
 * time is entered in: `__register_frame_info(frames, object)` of libgcc. A patch's frames are entered there before
 * anybody can run its code, by calling that function in the process.
 *
 * Up to libgcc 12 it takes a mutex of its own and links the object into a list: it can be called on a stack and with a
 * thread control block made for that. From 13 on it allocates memory (unwind-dw2-btree.h), which only a thread of the
 * program can do, in a state that nobody knows from outside.
 */

/** How the running program unwinds its stacks. */
export interface Unwinders {
  /** Where `__register_frame_info` is, in each unwinder of the program. */
  registrars: number[];
  /** Why a patch's frames cannot be made known to the program; undefined when they can, or nobody asks. */
  obstacle: string | undefined;
  /** Who handles exceptions, other than the language's own libraries. */
  handlers: string | undefined;
}

/** These throw exceptions and unwind stacks, but are not on them above a program's functions. */
const RUNTIME = /\/(libc|libm|libgcc_s|libstdc\+\+|libpthread|ld-linux[\w-]*|ld-musl[\w-]*)\.so/;
const LAST_WITH_LIST = 12;

export function findUnwinders(modules: readonly LoadedModule[]): Unwinders {
  const found: Unwinders = { registrars: [], obstacle: undefined, handlers: undefined };
  let hasUnwinder = false;
  for (const { elf, name, loadBias } of modules) {
    if (elf === undefined) continue;
    const table = elf.section('.gcc_except_table');
    if (table !== undefined && table.size > 0 && !RUNTIME.test(name)) found.handlers ??= name;
    if (definitionOf(elf, '_Unwind_RaiseException') === undefined) continue;
    hasUnwinder = true;
    const registrar = definitionOf(elf, '__register_frame_info');
    if (registrar === undefined || !keepsList(elf))
      found.obstacle ??= `the unwinder in ${name} is of another kind`;
    else found.registrars.push(registrar.value + loadBias);
  }
  // A static program cannot get one later.
  if (!hasUnwinder && modules.length > 1) found.obstacle = 'no unwinder (libgcc_s) is loaded yet';
  return found;
}

function definitionOf(elf: ElfFile, name: string) {
  return elf.symbolsNamed(name).find((symbol) => isDefined(symbol) && symbol.type === STT.FUNC);
}

/** Whether the unwinder is a libgcc that keeps registered objects in a list. Linked into a program, its variables tell. */
function keepsList(elf: ElfFile): boolean {
  const versions = elf.dynamicSymbols
    .map((symbol) => /^GCC_(\d+)/.exec(elf.versionOf(symbol)?.name ?? '')?.[1])
    .filter((version) => version !== undefined)
    .map(Number);
  const isDefiner = elf.dynamicSymbolsNamed('__register_frame_info').some(isDefined);
  if (isDefiner && versions.length > 0) return Math.max(...versions) <= LAST_WITH_LIST;
  return elf.symbolsNamed('unseen_objects').length > 0 && elf.symbolsNamed('registered_frames').length === 0;
}

/** What a call that enters the patch's frames needs, all in the image. */
export interface Registration {
  registrars: readonly number[];
  frames: Location;
  /** One `struct object` (unwind-dw2-fde.h) for each registrar, which keeps it. */
  objects: Location[];
  /** Calls what rbx points to, makes a harmless system call number of rax, and goes to where r12 points. */
  trampoline: Location;
  /** The end of a stack. */
  stack: Location;
  /** A thread control block. */
  threadPointer: Location;
}

const OBJECT_SIZE = 128;
const STACK_SIZE = 64 << 10;
/** Thread-local variables lie below the thread pointer, glibc's `struct pthread` above it. All zero is a fresh thread. */
const THREAD_LOCAL_SIZE = 8 << 10;
const THREAD_BLOCK_SIZE = 8 << 10;

/* glibc's tcbhead_t (sysdeps/x86_64/nptl/tls.h). */
const TCB_TCB = 0;
const TCB_SELF = 16;
const TCB_MULTIPLE_THREADS = 24;

const TRAMPOLINE = [
  0xff,
  0xd3, // call *%rbx
  0xb8,
  39,
  0,
  0,
  0, // mov $SYS_getpid,%eax
  0x41,
  0xff,
  0xe4, // jmp *%r12
];

/**
 * Reserves what the registration needs, if there is something to register. Where it cannot be done and exceptions
 * could come that way, the patch does not fit.
 */
export function planRegistration(
  patch: PatchObject,
  unwinders: Unwinders,
  layout: ImageLayout,
  reasons: string[],
): Registration | undefined {
  const section = patch.elf.section(FRAME_SECTION);
  const frames = section && section.size > 0 ? layout.place(section.index) : undefined;
  if (frames === undefined) return undefined;
  const isHandler = patch.elf.sections.some(
    ({ name, size, flags }) => name.startsWith('.gcc_except_table') && size > 0 && (flags & SHF.ALLOC) !== 0,
  );
  if (unwinders.obstacle !== undefined) {
    const handlers = isHandler ? 'the patch itself' : unwinders.handlers;
    if (handlers !== undefined) {
      reasons.push(
        `exceptions and cancelled threads could not pass through patched functions: ${unwinders.obstacle} (${handlers} handles them)`,
      );
    }
    return undefined;
  }
  const { text, data } = layout;
  const objects = unwinders.registrars.map(() => ({ part: data, offset: data.reserve(OBJECT_SIZE, 16) }));
  const stack = data.reserve(STACK_SIZE, 64) + STACK_SIZE;
  const block = data.reserve(THREAD_LOCAL_SIZE + THREAD_BLOCK_SIZE, 64) + THREAD_LOCAL_SIZE;
  const threadPointer = { part: data, offset: block };
  for (const field of [TCB_TCB, TCB_SELF]) {
    layout.fixups.push({
      part: data,
      offset: block + field,
      form: 'abs64',
      target: threadPointer,
      addend: 0,
    });
  }
  // Else the C library's locks leave the atomic instructions out.
  data.bytes.writeInt32LE(1, block + TCB_MULTIPLE_THREADS);
  const trampoline = text.reserve(TRAMPOLINE.length, 16);
  text.bytes.set(TRAMPOLINE, trampoline);
  return {
    registrars: unwinders.registrars,
    frames,
    objects,
    trampoline: { part: text, offset: trampoline },
    stack: { part: data, offset: stack },
    threadPointer,
  };
}
