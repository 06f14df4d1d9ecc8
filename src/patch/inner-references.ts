import { Decoder, DecoderOptions, FlowControl, type Instruction, Mnemonic } from 'iced-x86';
import { type ElfRelocation, isGlobal, R_X86_64, SHF } from '../elf/index.js';
import { AnonymousPieces } from './anonymous-pieces.js';
import type { Correlation } from './correlation.js';
import type { FunctionParts, ReplacedFunction } from './diff.js';
import type { Doubt } from './doubts.js';
import { type InputProgram, type InputSection, isDiscarded, nameOf } from './input-program.js';
import { referenceOf } from './references.js';

/**
 * Addresses inside of functions. When a function is replaced, only its entry leads to the new code: whoever goes to
 * a place behind the entry stays in the old.
 */
export interface InnerReferences {
  /** Tables of labels that only replaced functions use: the patch brings its own. */
  carried: InputSection[];
  reasons: string[];
  doubts: Doubt[];
}

export function innerReferences(
  old: InputProgram,
  found: Correlation,
  replaced: readonly ReplacedFunction[],
): InnerReferences {
  const result: InnerReferences = { carried: [], reasons: [], doubts: [] };
  const owners = new Map<InputSection, FunctionParts>();
  for (const { old: parts } of replaced) for (const part of parts) owners.set(part, parts);
  const freshOf = new Map([...found.pairs].map(([fresh, before]) => [before, fresh]));
  const replacedParts = new Set(replaced.flatMap(({ new: parts }) => parts));
  const pieces = new AnonymousPieces();

  for (const user of [...old.objects.values()].flatMap(({ sections }) => sections)) {
    if (owners.has(user) || isDiscarded(user, old) || !mayKeepAddresses(user, pieces)) continue;
    const inside = user.relocations.flatMap((relocation) => {
      const target = functionOf(user, relocation, old);
      const owner = target && owners.get(target);
      return owner && isAddress(relocation) && !isEntry(target, pieces.targetOf(user, relocation))
        ? [owner]
        : [];
    });
    if (inside.length === 0) continue;
    const table = freshOf.get(user);
    const users = table === undefined ? [] : found.freshUsers.sectionsOf(table);
    const isPrivate =
      table !== undefined && table.kind === 'constant' && !table.isShared && !isGlobal(table.primary!);
    if (isPrivate && users.every((section) => replacedParts.has(section))) result.carried.push(table);
    else if (table !== undefined || user.kind === 'code') {
      result.reasons.push(`${nameOf(user)}: holds an address inside ${nameOf(inside[0]![0])}, which changes`);
    }
  }
  for (const { old: parts } of replaced) {
    if (!parts.some((part) => takesLabel(part, parts, old))) continue;
    const symbol = nameOf(parts[0]);
    const text = `${symbol}: takes the address of a label in itself: where that was kept, it leads into the old code`;
    result.doubts.push({ kind: 'labels', symbol, text });
  }
  return result;
}

/** Not so jump tables and the like, which belong to their function and are carried with it. */
function mayKeepAddresses(section: InputSection, pieces: AnonymousPieces): boolean {
  if (section.kind === 'anonymous') return !pieces.hasUsers(section);
  return (
    section.kind === 'code' ||
    section.kind === 'variable' ||
    section.kind === 'constant' ||
    section.kind === 'tls'
  );
}

function functionOf(
  user: InputSection,
  relocation: ElfRelocation,
  program: InputProgram,
): InputSection | undefined {
  const reference = referenceOf(user, relocation, program);
  if (reference.kind === 'section') return reference.section;
  return reference.kind === 'global' ? reference.definition : undefined;
}

const isEntry = (code: InputSection, offset: number) => code.symbols.some(({ value }) => value === offset);

/** Whether a function's code makes a value of the address of one of its instructions, other than to jump there. */
function takesLabel(code: InputSection, parts: FunctionParts, program: InputProgram): boolean {
  const relocationsIn = (start: number, length: number) =>
    code.relocations.filter(({ offset }) => offset >= start && offset < start + length);
  const isWithin = (at: number) => at >= 0 && at < code.bytes.length;
  const pieces = new AnonymousPieces();
  return instructionsOf(code).some(({ start, length, isBranch, isLea, target }) => {
    const own = relocationsIn(start, length);
    if (own.length > 0) {
      return own.some((relocation) => {
        const goal = functionOf(code, relocation, program);
        const isInner = goal !== undefined && parts.includes(goal) && isAddress(relocation);
        return isInner && !isBranch && !isEntry(goal, pieces.targetOf(code, relocation));
      });
    }
    // Without a relocation, a place in the same section. Code for large programs asks where it is itself.
    return isLea && target !== start && isWithin(target) && !isEntry(code, target);
  });
}

const ADDRESSES = new Set<number>([
  R_X86_64.PC32,
  R_X86_64.PLT32,
  R_X86_64.PC64,
  R_X86_64[32],
  R_X86_64['32S'],
  R_X86_64[64],
]);

/** Not so what goes through a table of the linker: its addend is none of the address. */
const isAddress = ({ type }: ElfRelocation) => ADDRESSES.has(type);

/** Whether somebody in the program makes a value of a function's address, which may have been kept. */
export function isAddressTaken(
  entry: InputSection,
  users: readonly InputSection[],
  program: InputProgram,
): boolean {
  return users.some((user) => {
    if (user.kind !== 'code') return true;
    const steps = instructionsOf(user);
    return user.relocations.some((relocation) => {
      if (functionOf(user, relocation, program) !== entry) return false;
      const step = steps.find(
        ({ start, length }) => relocation.offset >= start && relocation.offset < start + length,
      );
      return step === undefined || !step.isBranch;
    });
  });
}

interface Step {
  start: number;
  length: number;
  isBranch: boolean;
  isLea: boolean;
  /** Of an operand relative to the instruction pointer. */
  target: number;
}

function instructionsOf(code: InputSection): Step[] {
  const steps: Step[] = [];
  const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
  while (decoder.canDecode) {
    const start = decoder.position;
    const instruction = decoder.decode();
    steps.push({
      start,
      length: instruction.length,
      isBranch: branches(instruction),
      isLea: instruction.mnemonic === Mnemonic.Lea && instruction.isIpRelMemoryOperand,
      target: instruction.isIpRelMemoryOperand
        ? Number(BigInt.asIntN(64, instruction.ipRelMemoryAddress))
        : -1,
    });
    instruction.free();
  }
  decoder.free();
  return steps;
}

function branches({ flowControl }: Instruction): boolean {
  return (
    flowControl === FlowControl.ConditionalBranch ||
    flowControl === FlowControl.UnconditionalBranch ||
    flowControl === FlowControl.Call
  );
}

/**
 * A nested function whose address is taken is called through code on the stack (gcc's trampolines), which holds the address
 * of the frame around it, too. A new version of both would find a frame of the old layout.
 */
export function nestedFunctions(found: Correlation, replaced: readonly ReplacedFunction[]): string[] {
  const entries = new Set(replaced.map(({ old: [entry] }) => entry));
  return [...entries]
    .filter((entry) => hasTrampolines(entry) && /^[^.]+\.\d+$/.test(entry.primary?.name ?? ''))
    .filter((entry) => found.oldUsers.sectionsOf(entry).some((user) => user !== entry && entries.has(user)))
    .map(
      (entry) => `${nameOf(entry)}: a nested function whose address may be kept, with the frame around it`,
    );
}

/** gcc then asks for a stack that can be executed. */
function hasTrampolines({ object }: InputSection): boolean {
  const mark = object.elf.section('.note.GNU-stack');
  return mark !== undefined && (mark.flags & SHF.EXECINSTR) !== 0;
}
