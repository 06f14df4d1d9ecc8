/**
 * Exempts Atlas's own calls from a seccomp filter that the program installs: it must neither fail nor kill what the
 * supervisor injects through the gate.
 *
 * Every `return` of another verdict than "allow" becomes a jump, of the same size, to an epilogue that looks at the
 * instruction pointer. So the filter's own jumps stay valid, and a verdict "allow" is still reached by the filter's own
 * instructions alone: whatever the kernel allows without running the filter stays so (see filter.ts).
 *
 * The kernel takes 4096 instructions. Where the epilogues leave too little room, the filter is shrunk; where that is not
 * enough, the instruction pointer is looked at once, before the filter, which is correct but has the filter run at each
 * call. The kernel judges what it would refuse: a filter that is not closed is not added to.
 */
import { EINVAL, ENOMEM, ENOSYS } from '../linux/errno.js';
import {
  BpfAssembler,
  BpfCode,
  failWith,
  INSTRUCTION_SIZE,
  MAX_INSTRUCTIONS,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_TRACE,
} from '../linux/bpf.js';
import { emitGateTest, type FilterOptions } from './filter.js';
import { isAccepted, isClosed, shrink } from './filter-shrink.js';

const ACTION = 0xffff_0000;
/** What TRACE means without a tracer (seccomp(2)), and the program has none: Atlas is the only one. */
const UNTRACED = failWith(ENOSYS);

export type Gate = Pick<FilterOptions, 'gateStart' | 'gateEnd'>;

/** What to give to the kernel in place of the program's filter, or the error that the call ends with. */
export type Exempted = { filter: Uint8Array } | { errno: number };

/** @param filter an array of `struct sock_filter`, which the kernel has not checked yet */
export function exemptGate(filter: Uint8Array, gate: Gate): Exempted {
  if (!isFull(filter.length) || !isClosed(filter)) return { filter };
  const exempt = withEpilogues(filter, gate);
  if (isFull(exempt.length)) return { filter: exempt };
  if (!isAccepted(filter)) return { errno: EINVAL };
  const shrunk = shrink(filter);
  for (const fitting of [withEpilogues(shrunk, gate), withPrologue(shrunk, gate)])
    if (fitting && isFull(fitting.length)) return { filter: fitting };
  return { errno: ENOMEM };
}

const isFull = (bytes: number): boolean => bytes > 0 && bytes <= MAX_INSTRUCTIONS * INSTRUCTION_SIZE;

const isAllow = (verdict: number): boolean => (verdict & ACTION) >>> 0 === SECCOMP_RET_ALLOW;
const isTrace = (verdict: number): boolean => (verdict & ACTION) >>> 0 === SECCOMP_RET_TRACE;

function withEpilogues(filter: Uint8Array, gate: Gate): Uint8Array {
  const body = filter.slice();
  const view = new DataView(body.buffer);
  const count = body.length / INSTRUCTION_SIZE;
  const epilogues: Uint8Array[] = [];
  const starts = new Map<number | 'accumulator', number>();
  let end = count;
  for (let at = 0; at < count; at++) {
    const offset = at * INSTRUCTION_SIZE;
    const code = view.getUint16(offset, true);
    const constant = view.getUint32(offset + 4, true);
    const fixed = code === BpfCode.returnConstant;
    if ((!fixed && code !== BpfCode.returnAccumulator) || (fixed && isAllow(constant))) continue;
    const verdict = fixed ? (isTrace(constant) ? UNTRACED : constant) : 'accumulator';
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
  return Buffer.concat([body, ...epilogues]);
}

/** The accumulator may hold the verdict: it is kept in the index register, which nobody reads after a return. */
function assembleEpilogue(verdict: number | 'accumulator', gate: Gate): Uint8Array {
  const program = new BpfAssembler();
  const elsewhere = program.label('not from the gate');
  if (verdict === 'accumulator') program.keepAccumulator();
  emitGateTest(program, gate, elsewhere);
  program.return(SECCOMP_RET_ALLOW).place(elsewhere);
  if (verdict !== 'accumulator') return program.return(verdict).assemble();
  const untraced = program.label('a verdict for a tracer');
  return program
    .takeKept()
    .and(ACTION)
    .branch('equal', SECCOMP_RET_TRACE, untraced, 'next')
    .returnKept()
    .place(untraced)
    .return(UNTRACED)
    .assemble();
}

/** @returns undefined for a filter that computes verdicts, which only an epilogue can look at */
function withPrologue(filter: Uint8Array, gate: Gate): Uint8Array | undefined {
  const program = new BpfAssembler();
  const elsewhere = program.label('not from the gate');
  emitGateTest(program, gate, elsewhere);
  // A filter begins with an accumulator of 0.
  const prologue = program.return(SECCOMP_RET_ALLOW).place(elsewhere).loadConstant(0).assemble();
  const body = filter.slice();
  const view = new DataView(body.buffer);
  for (let offset = 0; offset < body.length; offset += INSTRUCTION_SIZE) {
    const code = view.getUint16(offset, true);
    if (code === BpfCode.returnAccumulator) return undefined;
    if (code === BpfCode.returnConstant && isTrace(view.getUint32(offset + 4, true)))
      view.setUint32(offset + 4, UNTRACED, true);
  }
  return Buffer.concat([prologue, body]);
}
