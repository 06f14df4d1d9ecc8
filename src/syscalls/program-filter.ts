/**
 * Exempts Atlas's own calls from a seccomp filter that the program installs: it must neither fail nor kill what the
 * supervisor injects through the gate.
 *
 * Every `return` of another verdict than "allow" becomes a jump, of the same size, to an epilogue that looks at the
 * instruction pointer. So the filter's own jumps stay valid, and a verdict "allow" is still reached by the filter's own
 * instructions alone: whatever the kernel allows without running the filter stays so (see filter.ts).
 */
import { AtlasError } from '../errors/atlas-error.js';
import {
  BpfAssembler,
  BpfCode,
  INSTRUCTION_SIZE,
  MAX_INSTRUCTIONS,
  SECCOMP_RET_ALLOW,
} from '../linux/bpf.js';
import { emitGateTest, type FilterOptions } from './filter.js';

const ACTION = 0xffff_0000;

export type Gate = Pick<FilterOptions, 'gateStart' | 'gateEnd'>;

/** Takes and gives an array of `struct sock_filter`, which the kernel has not checked yet. */
export function exemptGate(programFilter: Uint8Array, gate: Gate): Uint8Array {
  if (programFilter.length % INSTRUCTION_SIZE !== 0) {
    throw new AtlasError('internal', 'a seccomp filter is not a whole number of instructions');
  }
  const body = programFilter.slice();
  const view = new DataView(body.buffer);
  const count = body.length / INSTRUCTION_SIZE;
  const epilogues: Uint8Array[] = [];
  const starts = new Map<number | 'accumulator', number>();
  let end = count;
  for (let at = 0; at < count; at++) {
    const offset = at * INSTRUCTION_SIZE;
    const code = view.getUint16(offset, true);
    const constant = view.getUint32(offset + 4, true);
    const allows = code === BpfCode.returnConstant && (constant & ACTION) >>> 0 === SECCOMP_RET_ALLOW;
    if (allows || (code !== BpfCode.returnConstant && code !== BpfCode.returnAccumulator)) continue;
    const verdict = code === BpfCode.returnConstant ? constant : 'accumulator';
    let start = starts.get(verdict);
    if (start === undefined) {
      const epilogue = assembleEpilogue(verdict, gate);
      epilogues.push(epilogue);
      starts.set(verdict, (start = end));
      end += epilogue.length / INSTRUCTION_SIZE;
    }
    view.setUint16(offset, BpfCode.jump, true);
    view.setUint32(offset + 4, start - at - 1, true);
  }
  if (end > MAX_INSTRUCTIONS) {
    throw new AtlasError(
      'refused',
      `a seccomp filter of ${count} instructions leaves no room for the exemption of Atlas's own calls`,
      `The kernel takes at most ${MAX_INSTRUCTIONS} instructions: install two shorter filters instead.`,
    );
  }
  return Buffer.concat([body, ...epilogues]);
}

/** The accumulator may hold the verdict: it is kept in the index register, which nobody reads after a return. */
function assembleEpilogue(verdict: number | 'accumulator', gate: Gate): Uint8Array {
  const program = new BpfAssembler();
  const elsewhere = program.label('not from the gate');
  if (verdict === 'accumulator') program.keepAccumulator();
  emitGateTest(program, gate, elsewhere);
  program.return(SECCOMP_RET_ALLOW).place(elsewhere);
  if (verdict === 'accumulator') program.returnKept();
  else program.return(verdict);
  return program.assemble();
}
