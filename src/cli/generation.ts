import { buildCommand, buildRouteMap } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { table } from './output/table.js';
import { generationId } from './parse.js';

const createCommand = buildCommand<CommonFlags, [string], CliContext>({
  docs: help(
    'Give a process one more address space\n\n' +
      'Its memory is shared with the other generations until something is written into it with `atlas write`.',
    ['atlas generation create memcached', 'atlas generation create memcached --json'],
  ),
  parameters: { flags: { json: jsonFlag }, positional: { kind: 'tuple', parameters: [processArgument] } },
  func: present<CommonFlags, [string]>(async (_flags, reference) => {
    const { client, process } = await resolveProcess(reference);
    const created = await client.request('generation.create', { process });
    return {
      document: created,
      text: `Generation ${created.generation} created in ${created.microseconds.toFixed(0)} µs.\n`,
    };
  }),
});

const listCommand = buildCommand<CommonFlags, [string], CliContext>({
  docs: help('Show the generations of a process: their threads, and where their bytes differ', [
    'atlas generation list memcached',
  ]),
  parameters: { flags: { json: jsonFlag }, positional: { kind: 'tuple', parameters: [processArgument] } },
  func: present<CommonFlags, [string]>(async (_flags, reference) => {
    const { client, process } = await resolveProcess(reference);
    const { generations } = await client.request('generation.list', { process });
    return {
      document: { generations },
      text: table(generations, [
        { title: 'GENERATION', align: 'right', cell: (entry) => entry.generation },
        { title: 'THREADS', align: 'right', cell: (entry) => entry.threads.length },
        {
          title: 'DIVERGED',
          cell: (entry) => entry.diverged.map((range) => `${range.address}+${range.length}`).join(' ') || '-',
        },
      ]),
    };
  }),
});

const deleteCommand = buildCommand<CommonFlags, [string, number], CliContext>({
  docs: help('Remove a generation in which no thread runs any more', ['atlas generation delete memcached 1']),
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [
        processArgument,
        { brief: 'The generation to remove', placeholder: 'G', parse: generationId },
      ],
    },
  },
  func: present<CommonFlags, [string, number]>(async (_flags, reference, generation) => {
    const { client, process } = await resolveProcess(reference);
    const deleted = await client.request('generation.delete', { process, generation });
    return { document: deleted, text: `Generation ${deleted.generation} deleted.\n` };
  }),
});

export const generationRoutes = buildRouteMap({
  docs: { brief: 'Create, list and delete the generations of a process' },
  routes: { create: createCommand, list: listCommand, delete: deleteCommand },
});
