/**
 * The seccomp filters, generated from the system-call table.
 *
 * Both filters decide by architecture and number first, and look at the instruction pointer and the arguments of only
 * those calls that Atlas is interested in. That order matters: when a filter is installed, the kernel runs it once for
 * every number (`seccomp_is_const_allow` in kernel/seccomp.c), and the calls that it allows without having read
 * anything else are then allowed by a bitmap, without running the filter at all.
 *
 *     architecture -> number -> binary search -+-> allow
 *                                              +-> from the gate? -> allow
 *                                              |      no -> arguments? -> trace or fail
 *                                              +-> the marker
 */
import { ENOSYS } from '../linux/errno.js';
import { AtlasError } from '../errors/atlas-error.js';
import {
  AUDIT_ARCH_X86_64,
  BpfAssembler,
  failWith,
  type Label,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_TRACE,
  SeccompData,
  type Verdict,
} from '../linux/bpf.js';
import { SYSCALL_LIMIT } from '../linux/syscall-numbers.js';
import { treatmentOf } from './table.js';
import { type ArgumentCondition, type BaseTreatment, type Treatment } from './treatment.js';

export interface FilterOptions {
  /** The gate page: calls made by a `syscall` instruction that lies wholly in `[gateStart, gateEnd)` are Atlas's own. */
  gateStart: number;
  gateEnd: number;
  /** A number that Linux does not know: from the gate, it stops the task for the supervisor. */
  marker: number;
  /** The store's descriptor in the program. */
  storeFd: number;
}

export interface StubFilterOptions extends FilterOptions {
  /** Also stop the calls that may read from, or wait for, a signalfd. */
  signalfdInUse?: boolean;
}

/** Numbers from here on belong to the x32 ABI (__X32_SYSCALL_BIT). */
const X32_NUMBERS = 0x4000_0000;
/** A tracer cancels a call by making its number -1; the filter then sees this. */
const CANCELLED = 0xffff_ffff;
const SYSCALL_INSTRUCTION_SIZE = 2;
const FOUR_GIB = 2 ** 32;

/** What a filter does with one number, apart from calls through the gate. */
interface Rule {
  when?: ArgumentCondition;
  verdict: Verdict;
  /** The verdict for calls through the gate. */
  fromGate: Verdict;
}

const ALLOW: Rule = { verdict: SECCOMP_RET_ALLOW, fromGate: SECCOMP_RET_ALLOW };
const TRACE: Rule = { verdict: SECCOMP_RET_TRACE, fromGate: SECCOMP_RET_ALLOW };
const MARKER: Rule = { verdict: failWith(ENOSYS), fromGate: SECCOMP_RET_TRACE };

/** The filter of every task of the process, from its first instruction on. */
export function baseFilter(options: FilterOptions): Uint8Array {
  return assembleFilter(options, ALLOW, (treatment) => baseRule(treatment.base));
}

/**
 * The filter that stub tasks have in addition. Of two verdicts the kernel takes the more restrictive: failing before
 * tracing before allowing; so what the base refuses is refused in a stub too.
 */
export function stubFilter(options: StubFilterOptions): Uint8Array {
  return assembleFilter(options, TRACE, (treatment) => {
    if (options.signalfdInUse && treatment.mayReadSignalfd) return TRACE;
    if (treatment.stub === 'direct') return ALLOW;
    return treatment.stubWhen ? { ...TRACE, when: treatment.stubWhen } : TRACE;
  });
}

function baseRule(base: BaseTreatment): Rule {
  if (base.kind === 'native') return ALLOW;
  const rule: Rule = { ...TRACE, verdict: base.kind === 'trap' ? SECCOMP_RET_TRACE : failWith(base.errno) };
  return base.when ? { ...rule, when: base.when } : rule;
}

/** Numbers from `first` up to the next range's `first` jump to `label`. */
interface Range {
  first: number;
  label: Label;
}

function assembleFilter(
  options: FilterOptions,
  unknown: Rule,
  ruleFor: (treatment: Treatment) => Rule,
): Uint8Array {
  checkOptions(options);
  const program = new BpfAssembler();
  const rules = new Map<string, { rule: Rule; label: Label }>();
  const labelOf = (rule: Rule): Label => {
    const key = JSON.stringify(rule);
    let known = rules.get(key);
    if (!known) rules.set(key, (known = { rule, label: program.label(key) }));
    return known.label;
  };

  const ranges: Range[] = [];
  const addRange = (first: number, rule: Rule): void => {
    const label = labelOf(rule);
    if (ranges.at(-1)?.label !== label) ranges.push({ first, label });
  };
  for (let number = 0; number < SYSCALL_LIMIT; number++) {
    const treatment = treatmentOf(number);
    addRange(number, treatment ? ruleFor(treatment) : unknown);
  }
  addRange(SYSCALL_LIMIT, unknown);
  addRange(options.marker, MARKER);
  addRange(options.marker + 1, unknown);

  const noSuchCall = program.label('no such call');
  const allow = labelOf(ALLOW);
  program
    .load(SeccompData.architecture)
    .branch('equal', AUDIT_ARCH_X86_64, 'next', noSuchCall)
    .load(SeccompData.number)
    .branch('equal', CANCELLED, allow, 'next')
    .branch('greaterOrEqual', X32_NUMBERS, noSuchCall, 'next');
  emitSearch(program, ranges);
  for (const { rule, label } of rules.values()) emitRule(program.place(label), rule, options);
  program.place(noSuchCall).return(failWith(ENOSYS));
  return program.assemble();
}

/** A balanced binary search for the range that holds the accumulator. */
function emitSearch(program: BpfAssembler, ranges: readonly Range[]): void {
  const [only] = ranges;
  if (ranges.length === 1) {
    program.jump(only.label);
    return;
  }
  const middle = ranges.length >> 1;
  const low = ranges.slice(0, middle);
  const high = ranges.slice(middle);
  const highLabel = high.length === 1 ? high[0].label : program.label(`numbers from ${high[0].first}`);
  program.branch('greaterOrEqual', high[0].first, highLabel, low.length === 1 ? low[0].label : 'next');
  if (low.length > 1) emitSearch(program, low);
  if (high.length > 1) emitSearch(program.place(highLabel), high);
}

function emitRule(program: BpfAssembler, rule: Rule, options: FilterOptions): void {
  if (rule.verdict !== rule.fromGate) {
    const elsewhere = program.label('not from the gate');
    emitGateTest(program, options, elsewhere);
    program.return(rule.fromGate).place(elsewhere);
  }
  if (rule.when) {
    const applies = program.label('the condition holds');
    emitCondition(program, rule.when, options, applies);
    program.return(SECCOMP_RET_ALLOW).place(applies);
  }
  program.return(rule.verdict);
}

/**
 * Falls through for a call from the gate. The kernel reports the address behind the `syscall` instruction, so that the
 * last instruction of the gate shows its end, and one just before the gate shows its start.
 */
export function emitGateTest(
  program: BpfAssembler,
  gate: Pick<FilterOptions, 'gateStart' | 'gateEnd'>,
  elsewhere: Label,
): void {
  const first = gate.gateStart + SYSCALL_INSTRUCTION_SIZE;
  program
    .load(SeccompData.instructionPointerHigh)
    .branch('equal', Math.floor(first / FOUR_GIB), 'next', elsewhere)
    .load(SeccompData.instructionPointerLow)
    .branch('greaterOrEqual', first % FOUR_GIB, 'next', elsewhere)
    .branch('greater', gate.gateEnd % FOUR_GIB, elsewhere, 'next');
}

/** Jumps to `holds`, or falls through. */
function emitCondition(
  program: BpfAssembler,
  condition: ArgumentCondition,
  options: FilterOptions,
  holds: Label,
): void {
  if (condition.test === 'anyOf') {
    for (const part of condition.conditions) emitCondition(program, part, options, holds);
    return;
  }
  const { argument } = condition;
  program.load(SeccompData.argumentLow(argument));
  switch (condition.test) {
    case 'nonNull':
      program
        .branch('equal', 0, 'next', holds)
        .load(SeccompData.argumentHigh(argument))
        .branch('equal', 0, 'next', holds);
      return;
    case 'anySet':
      program.branch('anySet', condition.mask, holds, 'next');
      return;
    case 'noneSet':
      program.branch('anySet', condition.mask, 'next', holds);
      return;
    case 'oneOf':
      if (condition.mask !== undefined) program.and(condition.mask);
      for (const value of condition.values) program.branch('equal', value, holds, 'next');
      return;
    case 'noneOf': {
      const isOne = program.label(`argument ${argument} is none of ${condition.values.length}`);
      for (const value of condition.values) program.branch('equal', value, isOne, 'next');
      program.jump(holds).place(isOne);
      return;
    }
    case 'storeDescriptor':
      program.branch('equal', options.storeFd, holds, 'next');
      return;
  }
}

function checkOptions({ gateStart, gateEnd, marker }: FilterOptions): void {
  if (marker <= SYSCALL_LIMIT || marker >= X32_NUMBERS) {
    throw new AtlasError('internal', `${marker} cannot be the marker: it may be a number that Linux knows`);
  }
  if (gateEnd <= gateStart || Math.floor(gateStart / FOUR_GIB) !== Math.floor(gateEnd / FOUR_GIB)) {
    throw new AtlasError('internal', 'the gate must not be empty, nor cross or touch a boundary of 4 GiB');
  }
}
