import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { table } from './output/table.js';

export const statusCommand = buildCommand<CommonFlags, [string], CliContext>({
  docs: help('Show the patches of a process and how far they are', ['atlas patch status memcached']),
  parameters: { flags: { json: jsonFlag }, positional: { kind: 'tuple', parameters: [processArgument] } },
  func: present<CommonFlags, [string]>(async (_flags, reference) => {
    const { client, process } = await resolveProcess(reference);
    const status = await client.request('patch.status', { process });
    return {
      document: status,
      text: table(status.patches, [
        { title: 'PATCH', cell: (patch) => patch.patch },
        { title: 'STRATEGY', cell: (patch) => patch.strategy },
        { title: 'STATE', cell: (patch) => patch.state },
        { title: 'FUNCTIONS', cell: (patch) => patch.functions.map((entry) => entry.name).join(', ') },
      ]),
    };
  }),
});
