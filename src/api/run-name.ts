import path from 'node:path';
import { AtlasError } from '../errors/atlas-error.js';

const LONGEST_NAME = 64;

/** A run's name is also a file name (`NAME.sock`), a command's argument, and the first half of `NAME:PID`. */
export function checkRunName(name: string): string {
  const advice = `A name has 1 to ${LONGEST_NAME} of the characters A-Z a-z 0-9 . _ - and begins with a letter, a digit or _; it is not digits alone.`;
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new AtlasError('bad-usage', `"${name}" cannot be the name of a run.`, advice);
  }
  // A reference that is all digits means a pid.
  if (/^\d+$/.test(name))
    throw new AtlasError('bad-usage', `The name "${name}" would read as a pid.`, advice);
  return name;
}

/** The name of a run whose user gave none: the command's base name, made to fit `checkRunName`. */
export function defaultRunName(command: string): string {
  // Room is left for the suffix that makes it unique.
  const base = path
    .basename(command)
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[.-]+/, '')
    .slice(0, LONGEST_NAME - 5);
  if (base === '') return 'run';
  return /^\d+$/.test(base) ? `run-${base}` : base;
}

/** `name`, `name-2`, `name-3`, … */
export function* uniqueNames(name: string): Generator<string> {
  yield name;
  for (let suffix = 2; suffix < 1000; suffix++) yield `${name}-${suffix}`;
}

/** What a user may write to point at a process: a run's name, `NAME:PID`, or a pid alone. */
export type Reference =
  | { kind: 'run'; name: string }
  | { kind: 'member'; name: string; pid: number }
  | { kind: 'pid'; pid: number };

export function parseReference(text: string): Reference {
  if (/^\d+$/.test(text)) return { kind: 'pid', pid: Number(text) };
  const member = /^(.+):(\d+)$/.exec(text);
  if (member) return { kind: 'member', name: checkRunName(member[1]!), pid: Number(member[2]) };
  return { kind: 'run', name: checkRunName(text) };
}
