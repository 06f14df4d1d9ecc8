import { AtlasError } from '../errors/atlas-error.js';
import { evaluateExpression, type ReadWord } from './expression.js';
import { type Frame, frameOf, lookupAddress } from './frame.js';
import { REGISTER_COUNT, type RegisterValues, RIP, RSP } from './registers.js';
import { interruptedFrame, isBareSignalTrampoline } from './signal-trampoline.js';
import type { UnwindModule, UnwindRule } from './unwind-module.js';
import type { CfaRule, RegisterRule } from './unwind-row.js';

/** The module whose code contains an address; `undefined` for code of no file (generated at run time). */
export type FindModule = (pc: number) => UnwindModule | undefined;

export type Step =
  | { readonly kind: 'caller'; readonly frame: Frame }
  /** The frame has no caller: its return address is undefined (`_start`, a thread's `clone`) or zero. */
  | { readonly kind: 'outermost' }
  /** Nothing reliable can be said about the caller; there is no guess to be had. */
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Backtrace {
  /** Innermost first; never empty. */
  readonly frames: readonly Frame[];
  /** `unknown` is about the last frame: its caller could not be found. */
  readonly end: { readonly kind: 'complete' } | { readonly kind: 'unknown'; readonly reason: string };
}

const DEFAULT_FRAME_LIMIT = 10_000;

/** Follows the callers from `innermost` outwards. */
export function backtrace(
  innermost: Frame,
  find: FindModule,
  readWord: ReadWord,
  limit = DEFAULT_FRAME_LIMIT,
): Backtrace {
  const frames = [innermost];
  let frame = innermost;
  while (frames.length < limit) {
    const step = unwindStep(frame, find, readWord);
    if (step.kind === 'outermost') return { frames, end: { kind: 'complete' } };
    if (step.kind === 'unknown') return { frames, end: step };
    frames.push(step.frame);
    frame = step.frame;
  }
  return { frames, end: { kind: 'unknown', reason: `more than ${limit} frames` } };
}

/** The caller of `frame`, or the frame that a signal interrupted if `frame` is the signal's trampoline. */
export function unwindStep(frame: Frame, find: FindModule, readWord: ReadWord): Step {
  try {
    const address = lookupAddress(frame);
    const module = find(address);
    const rule = module?.ruleAt(address);
    if (module && rule) return stepByRule(frame, rule, module.loadBias, readWord);
    if (isBareSignalTrampoline(frame, readWord)) {
      return callerOr(interruptedFrame(frame, readWord), 'the signal frame cannot be read');
    }
    return unknown(`no unwind information for ${hex(frame.pc)}`);
  } catch (error) {
    // Malformed tables of one library must not end the supervisor: they make one stack unknown.
    if (error instanceof AtlasError && error.kind === 'bad-input') {
      return unknown(`${error.message} (for ${hex(frame.pc)})`);
    }
    throw error;
  }
}

function stepByRule(frame: Frame, rule: UnwindRule, loadBias: number, readWord: ReadWord): Step {
  const { row, returnAddressColumn } = rule;
  const returnRule = row.rules.get(returnAddressColumn);
  if (returnRule?.kind === 'undefined') return { kind: 'outermost' };
  if (returnRule === undefined) return unknown(`no rule for the return address at ${hex(frame.pc)}`);

  const state: FrameState = { registers: frame.registers, readWord, loadBias };
  const cfa = canonicalFrameAddress(row.cfa, state);
  if (cfa === undefined) return unknown(`the frame of ${hex(frame.pc)} depends on a register not saved`);

  const caller: (bigint | undefined)[] = frame.registers.slice(0, REGISTER_COUNT);
  caller[RSP] = cfa;
  for (const [register, registerRule] of row.rules) {
    if (register < REGISTER_COUNT) caller[register] = recover(register, registerRule, cfa, state);
  }
  caller[RIP] = recover(returnAddressColumn, returnRule, cfa, state);
  if (caller[RIP] === undefined) return unknown(`the return address of ${hex(frame.pc)} cannot be read`);
  if (caller[RIP] === 0n) return { kind: 'outermost' };
  if (caller[RIP] === frame.registers[RIP] && caller[RSP] === frame.registers[RSP]) {
    return unknown(`the frame of ${hex(frame.pc)} is its own caller`);
  }
  return callerOr(frameOf(caller, rule.signalFrame), `the stack pointer at ${hex(frame.pc)} is not known`);
}

interface FrameState {
  readonly registers: RegisterValues;
  readonly readWord: ReadWord;
  readonly loadBias: number;
}

function canonicalFrameAddress(rule: CfaRule, state: FrameState): bigint | undefined {
  if (rule.kind === 'expression') return evaluateExpression(rule.expression, state);
  const base = state.registers[rule.register];
  return base === undefined ? undefined : word(base + BigInt(rule.offset));
}

function recover(register: number, rule: RegisterRule, cfa: bigint, state: FrameState): bigint | undefined {
  switch (rule.kind) {
    case 'undefined':
      return undefined;
    case 'same':
      return state.registers[register];
    case 'offset':
      return state.readWord(Number(word(cfa + BigInt(rule.offset))));
    case 'value-offset':
      return word(cfa + BigInt(rule.offset));
    case 'register':
      return state.registers[rule.register];
    case 'expression': {
      const address = evaluateExpression(rule.expression, state, cfa);
      return address === undefined ? undefined : state.readWord(Number(address));
    }
    case 'value-expression':
      return evaluateExpression(rule.expression, state, cfa);
  }
}

function callerOr(frame: Frame | undefined, reason: string): Step {
  return frame ? { kind: 'caller', frame } : unknown(reason);
}

function unknown(reason: string): Step {
  return { kind: 'unknown', reason };
}

function word(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
