import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { EXIT_CODE } from '../errors/atlas-error.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { describeThreads, timeoutFlag } from './timeout.js';

interface Flags extends CommonFlags {
  readonly timeout: number;
}

export const settleCommand = buildCommand<Flags, [string], CliContext>({
  docs: help(
    'Make a process one plain address space again\n\n' +
      'The newest generation becomes the base, its threads come home, and the other generations end. ' +
      'Exits with 7 when some threads are still pending after the timeout, and with 3 when it is settled already.',
    ['atlas settle memcached', 'atlas settle memcached --timeout 2 --json'],
  ),
  parameters: {
    flags: { json: jsonFlag, timeout: timeoutFlag },
    positional: { kind: 'tuple', parameters: [processArgument] },
  },
  func: present<Flags, [string]>(async ({ timeout }, reference) => {
    const { client, process } = await resolveProcess(reference);
    const result = await client.request('settle', { process, timeoutMilliseconds: timeout * 1000 });
    return {
      document: result,
      text:
        describeThreads(result.moved, result.pending) +
        (result.settled ? 'Settled: one address space.\n' : 'Not settled yet.\n'),
      exitCode: result.settled ? 0 : EXIT_CODE['not-finished'],
    };
  }),
});
