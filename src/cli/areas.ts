import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { table } from './output/table.js';
import { generationId } from './parse.js';

interface Flags extends CommonFlags {
  readonly generation?: number;
}

export const areasCommand = buildCommand<Flags, [string], CliContext>({
  docs: help(
    'Show the memory areas of a process as one generation sees them\n\n' +
      'VIEW is "shared" (the same pages in all generations), "private" (a read-only file mapping, the same bytes ' +
      'in all) or "unshared" (this generation has bytes of its own there).',
    ['atlas areas memcached', 'atlas areas memcached --generation 1'],
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      generation: {
        kind: 'parsed',
        parse: generationId,
        brief: 'The generation whose view to show; the base when missing',
        placeholder: 'G',
        optional: true,
      },
    },
    positional: { kind: 'tuple', parameters: [processArgument] },
  },
  func: present<Flags, [string]>(async ({ generation }, reference) => {
    const { client, process } = await resolveProcess(reference);
    const { areas } = await client.request('areas', {
      process,
      ...(generation === undefined ? {} : { generation }),
    });
    return {
      document: { areas },
      text: table(areas, [
        { title: 'START', align: 'right', cell: (area) => area.start },
        { title: 'END', align: 'right', cell: (area) => area.end },
        { title: 'PROTECTION', cell: (area) => area.protection },
        { title: 'VIEW', cell: (area) => area.view },
        { title: 'NAME', cell: (area) => area.name },
      ]),
    };
  }),
});
