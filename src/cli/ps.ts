import { buildCommand } from '@stricli/core';
import { listProcesses } from '../api/client.js';
import { chooseRuntimeDirectory } from '../api/runtime-directory.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present } from './command.js';
import { stderr } from './output/streams.js';
import { table } from './output/table.js';

export const psCommand = buildCommand<CommonFlags, [], CliContext>({
  docs: help('Show the processes that run under Atlas', ['atlas ps', 'atlas ps --json']),
  parameters: { flags: { json: jsonFlag } },
  func: present<CommonFlags, []>(async () => {
    const { note } = chooseRuntimeDirectory();
    if (note !== undefined) stderr.write(`atlas: ${note}\n`);
    const { processes, silent } = await listProcesses();
    for (const run of silent)
      stderr.write(`atlas: the supervisor of ${run.name} does not answer (${run.socket})\n`);
    return {
      document: { processes },
      text: table(processes, [
        { title: 'NAME', cell: (process) => process.name },
        { title: 'PID', align: 'right', cell: (process) => process.pid },
        { title: 'THREADS', align: 'right', cell: (process) => process.threads },
        { title: 'GENERATIONS', cell: (process) => process.generations.join(',') },
        { title: 'COMMAND', cell: (process) => process.command },
      ]),
    };
  }),
});
