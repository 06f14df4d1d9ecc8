import type { CommandContext, StricliProcess } from '@stricli/core';
import { AtlasError, EXIT_CODE } from '../errors/atlas-error.js';
import { stderr, stdout } from './output/streams.js';

/** What a command leaves: one JSON document, the same for people, and how well it went. */
export interface Outcome {
  document: object;
  text: string;
  /** Of the table in docs/exit-codes.md; 0 when it is missing. */
  exitCode?: number;
}

export interface CliContext extends CommandContext {
  readonly process: StricliProcess;
}

export interface CommonFlags {
  readonly json: boolean;
}

export const jsonFlag = {
  kind: 'boolean',
  brief: 'Print one JSON document on stdout instead of text',
  default: false,
  withNegated: false,
} as const;

export const processArgument = {
  brief: "The process: a run's name, NAME:PID for another process of that run, or a pid",
  placeholder: 'NAME',
  parse: String,
} as const;

/** Makes a stricli command function of one that returns an outcome or throws an `AtlasError`. */
export function present<Flags extends CommonFlags, Arguments extends readonly unknown[]>(
  action: (flags: Flags, ...args: Arguments) => Promise<Outcome> | Outcome,
): (this: CliContext, flags: Flags, ...args: Arguments) => Promise<void> {
  return async function (flags, ...args) {
    try {
      const outcome = await action(flags, ...args);
      stdout.write(flags.json ? `${JSON.stringify(outcome.document)}\n` : outcome.text);
      this.process.exitCode = outcome.exitCode ?? 0;
    } catch (error) {
      this.process.exitCode = reportFailure(AtlasError.from(error), flags.json);
    }
  };
}

/** Tells the user about a failure, and returns its exit code. */
export function reportFailure(error: AtlasError, json: boolean): number {
  if (json) {
    const { kind, message, advice } = error;
    stdout.write(`${JSON.stringify({ error: { kind, message, advice } })}\n`);
  } else {
    stderr.write(`atlas: ${error.message}\n${error.advice === '' ? '' : `${error.advice}\n`}`);
  }
  return EXIT_CODE[error.kind];
}

/** The long text of `--help`: what the command does, then examples to copy. */
export function help(
  description: string,
  examples: readonly string[],
): { brief: string; fullDescription: string } {
  const [brief] = description.split('\n');
  return {
    brief: brief!,
    fullDescription: `${description}\n\nEXAMPLES\n${examples.map((line) => `  ${line}`).join('\n')}`,
  };
}
