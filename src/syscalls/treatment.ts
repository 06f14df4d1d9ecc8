/**
 * The vocabulary of the system-call table: how a call is treated in the base, and who executes it for a thread that
 * lives in a further generation. `table.ts` gives every call exactly one `Treatment`; the seccomp filters and
 * docs/compatibility.md are derived from it.
 */
import { ENOSYS } from '../linux/errno.js';

/**
 * Who executes a system call that a stub task is about to make.
 *
 * - `direct`: the stub task itself, without a stop.
 * - `home`: the thread's home task, which may block there; the result goes back to the stub.
 * - `everywhere`: the home task first, then every other generation: state of an address space, or of a process.
 * - `both`: the home task and this thread's stub task: state of one task.
 * - `path`: the stub task, unless its path argument names something that depends on who asks, such as /proc/self.
 * - `private-futex`: a futex whose key would be bound to one address space, or that stores the caller's tid.
 * - `refused`: nobody; the call fails.
 */
export type StubClass = 'direct' | 'home' | 'everywhere' | 'both' | 'path' | 'private-futex' | 'refused';

/** A test of the raw arguments, as a filter can make it. All but `nonNull` look at the low 32 bits only. */
export type ArgumentCondition =
  | { test: 'nonNull'; argument: number }
  | { test: 'anySet'; argument: number; mask: number }
  | { test: 'noneSet'; argument: number; mask: number }
  | { test: 'oneOf'; argument: number; values: readonly number[]; mask?: number }
  | { test: 'noneOf'; argument: number; values: readonly number[] }
  | { test: 'storeDescriptor'; argument: number }
  | { test: 'anyOf'; conditions: readonly ArgumentCondition[] };

/**
 * What happens to the call in a task of the base, also while there is only one generation. Where a condition is given
 * and does not hold, the call is native.
 */
export type BaseTreatment =
  | { kind: 'native' }
  | { kind: 'trap'; when?: ArgumentCondition }
  | { kind: 'refuse'; errno: number; when?: ArgumentCondition };

export interface Treatment {
  /** With a `stubWhen`, the class of the calls for which it holds; the others are direct. */
  stub: StubClass;
  stubWhen?: ArgumentCondition;
  base: BaseTreatment;
  /** Why it is treated so. */
  reason: string;
  /** What a program can see that differs from an unsupervised run. */
  partial?: string;
  /** The call may consume or wait for a signal through a signalfd, which only the home task can do. */
  mayReadSignalfd?: true;
}

type Details = Partial<Omit<Treatment, 'stub' | 'reason'>>;

export const NATIVE: BaseTreatment = { kind: 'native' };

function treat(stub: StubClass, reason: string, details: Details): Treatment {
  return { stub, reason, base: NATIVE, ...details };
}

export const TRAP: BaseTreatment = { kind: 'trap' };

export const direct = (reason: string, details: Details = {}): Treatment => treat('direct', reason, details);
export const home = (reason: string, details: Details = {}): Treatment => treat('home', reason, details);
/** Trapped in the base as well: while there are several generations, a thread at home makes it everywhere too. */
export const everywhere = (reason: string, details: Details = {}): Treatment =>
  treat('everywhere', reason, { base: TRAP, ...details });
export const both = (reason: string, details: Details = {}): Treatment => treat('both', reason, details);
export const path = (reason: string, details: Details = {}): Treatment => treat('path', reason, details);

/** Fails with ENOSYS everywhere, as on a kernel that does not have the call: programs have a fallback for that. */
export const refused = (reason: string): Treatment => treat('refused', reason, { base: refuse(ENOSYS) });

export const trapWhen = (when: ArgumentCondition): BaseTreatment => ({ kind: 'trap', when });

export const refuse = (errno: number): BaseTreatment => ({ kind: 'refuse', errno });

export const refuseWhen = (errno: number, when: ArgumentCondition): BaseTreatment => ({
  kind: 'refuse',
  errno,
  when,
});

export const nonNull = (argument: number): ArgumentCondition => ({ test: 'nonNull', argument });

export const anySet = (argument: number, mask: number): ArgumentCondition => ({
  test: 'anySet',
  argument,
  mask,
});

export const noneSet = (argument: number, mask: number): ArgumentCondition => ({
  test: 'noneSet',
  argument,
  mask,
});

/** With a mask, the argument is reduced to the mask's bits before it is compared. */
export const oneOf = (argument: number, values: readonly number[], mask?: number): ArgumentCondition =>
  mask === undefined ? { test: 'oneOf', argument, values } : { test: 'oneOf', argument, values, mask };

export const noneOf = (argument: number, values: readonly number[]): ArgumentCondition => ({
  test: 'noneOf',
  argument,
  values,
});

export const storeDescriptor = (argument: number): ArgumentCondition => ({
  test: 'storeDescriptor',
  argument,
});

export const anyOf = (...conditions: ArgumentCondition[]): ArgumentCondition => ({
  test: 'anyOf',
  conditions,
});
