import { buildCommand } from '@stricli/core';
import { resolveProcess } from '../api/client.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present, processArgument } from './command.js';
import { table } from './output/table.js';

export const threadsCommand = buildCommand<CommonFlags, [string], CliContext>({
  docs: help(
    'Show the threads of a process, and the generation that each runs in\n\n' +
      'GENERATION is the one whose code the thread runs next; a thread that is asleep in the kernel may have been ' +
      'moved without being woken.',
    ['atlas threads memcached', 'atlas threads 4711 --json'],
  ),
  parameters: { flags: { json: jsonFlag }, positional: { kind: 'tuple', parameters: [processArgument] } },
  func: present<CommonFlags, [string]>(async (_flags, reference) => {
    const { client, process } = await resolveProcess(reference);
    const { threads } = await client.request('threads', { process });
    return {
      document: { threads },
      text: table(threads, [
        { title: 'TID', align: 'right', cell: (thread) => thread.tid },
        { title: 'NAME', cell: (thread) => thread.name },
        { title: 'GENERATION', align: 'right', cell: (thread) => thread.generation },
        {
          title: 'STATE',
          cell: (thread) =>
            thread.syscall === undefined ? thread.state : `${thread.state} in ${thread.syscall}`,
        },
      ]),
    };
  }),
});
