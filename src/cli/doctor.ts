import { buildCommand } from '@stricli/core';
import { EXIT_CODE } from '../errors/atlas-error.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present } from './command.js';
import { checkMachine } from './doctor/machine.js';
import { table } from './output/table.js';

export const doctorCommand = buildCommand<CommonFlags, [], CliContext>({
  docs: help(
    'Say what this machine allows, and what to do about what is missing\n\n' +
      'Exits with 8 when programs cannot run under Atlas here. `atlas run` refuses with the same advice.',
    ['atlas doctor', 'atlas doctor --json'],
  ),
  parameters: { flags: { json: jsonFlag } },
  func: present<CommonFlags, []>(() => {
    const report = checkMachine();
    const rows = table(report.checks, [
      { title: 'CHECK', cell: (row) => row.check },
      { title: 'VERDICT', cell: (row) => row.verdict },
      { title: 'FOUND', cell: (row) => row.found },
    ]);
    const advice = report.checks
      .filter((row) => row.advice !== '')
      .map((row) => `${row.verdict}: ${row.check}: ${row.advice}\n`);
    return {
      document: report,
      text: `${rows}${advice.length > 0 ? '\n' : ''}${advice.join('')}`,
      exitCode: report.usable ? 0 : EXIT_CODE['unsupported-machine'],
    };
  }),
});
