import fs from 'node:fs';
import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { AtlasError, EXIT_CODE } from '../errors/atlas-error.js';
import type { PatchStrategy } from '../supervisor/protocol.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { whileReportingProgress } from './rollout-progress.js';
import { describeThreads, timeoutFlag } from './timeout.js';

interface Flags extends CommonFlags {
  readonly strategy: PatchStrategy;
  readonly timeout: number;
}

export const applyCommand = buildCommand<Flags, [string, string], CliContext>({
  docs: help(
    'Patch a running process\n\n' +
      'With --strategy local each thread moves to the patched code at its own quiescent moment and nobody waits; ' +
      'with global all threads are brought to a halt first, which exists to compare with. Exits with 6 when the patch ' +
      'does not fit the process (nothing is touched then), and with 7 when it is not settled within the timeout; the ' +
      'patch is taken back then.',
    [
      'atlas patch apply memcached fix.atlas',
      'atlas patch apply memcached fix.atlas --strategy global --timeout 30',
      'atlas patch apply memcached fix.atlas --json',
    ],
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      strategy: {
        kind: 'enum',
        values: ['local', 'global'],
        brief: 'How the threads get to the patched code',
        default: 'local',
      },
      timeout: timeoutFlag,
    },
    positional: {
      kind: 'tuple',
      parameters: [processArgument, { brief: 'The patch file', placeholder: 'FILE', parse: String }],
    },
  },
  func: present<Flags, [string, string]>(async ({ strategy, timeout }, reference, file) => {
    const content = readInput(file).toString('base64');
    const { client, process } = await resolveProcess(reference);
    const applied = await whileReportingProgress(
      client,
      process,
      client.request('patch.apply', {
        process,
        strategy,
        file,
        content,
        timeoutMilliseconds: timeout * 1000,
      }),
    );
    return {
      document: applied,
      text:
        applied.warnings.map((warning) => `warning: ${warning}\n`).join('') +
        describeThreads(applied.threads, []) +
        `${applied.patch}: ${applied.strategy} rollout, ${applied.totalMilliseconds.toFixed(1)} ms, ` +
        `${applied.settled ? 'settled' : 'not settled yet'}.\n`,
      exitCode: applied.settled ? 0 : EXIT_CODE['not-finished'],
    };
  }),
});

/** A file that the user named, with the user's own rights. */
export function readInput(file: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw new AtlasError('bad-input', `${file}: ${(error as Error).message}`, 'Check the path.', {
      cause: error,
    });
  }
}
