import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { AtlasError, EXIT_CODE } from '../errors/atlas-error.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { generationId, threadId } from './parse.js';
import { describeThreads, timeoutFlag } from './timeout.js';

interface Flags extends CommonFlags {
  readonly to: number;
  readonly thread?: readonly number[];
  readonly all: boolean;
  readonly timeout: number;
}

export const migrateCommand = buildCommand<Flags, [string], CliContext>({
  docs: help(
    'Move threads to another generation, each on its own, without stopping the others\n\n' +
      'Exits with 7 when some are still pending after the timeout; they stay where they are.',
    [
      'atlas migrate memcached --to 1 --all',
      'atlas migrate memcached --to 1 --thread 4712 --thread 4713',
      'atlas migrate memcached --to 0 --all --timeout 2 --json',
    ],
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      to: { kind: 'parsed', parse: generationId, brief: 'The generation to move to', placeholder: 'G' },
      thread: {
        kind: 'parsed',
        parse: threadId,
        brief: 'A thread to move; may be repeated',
        placeholder: 'TID',
        variadic: true,
        optional: true,
      },
      all: { kind: 'boolean', brief: 'Move all threads of the process', default: false, withNegated: false },
      timeout: timeoutFlag,
    },
    positional: { kind: 'tuple', parameters: [processArgument] },
  },
  func: present<Flags, [string]>(async (flags, reference) => {
    const threads = flags.thread ?? [];
    if (flags.all === threads.length > 0) {
      throw new AtlasError('bad-usage', 'Exactly one of --thread and --all is needed.');
    }
    const { client, process } = await resolveProcess(reference);
    const { moved, pending } = await client.request('migrate', {
      process,
      to: flags.to,
      ...(flags.all ? {} : { threads: [...threads] }),
      timeoutMilliseconds: flags.timeout * 1000,
    });
    return {
      document: { moved, pending },
      text: describeThreads(moved, pending),
      exitCode:
        pending.length > 0 ? EXIT_CODE['not-finished'] : moved.length === 0 ? EXIT_CODE['nothing-to-do'] : 0,
    };
  }),
});
