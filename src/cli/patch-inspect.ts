import { buildCommand } from '@stricli/core';
import { type CliContext, type CommonFlags, help, jsonFlag, present } from './command.js';
import { table } from './output/table.js';
import { readInput } from './patch-apply.js';
import { verdicts } from './patch-build.js';

export const inspectCommand = buildCommand<CommonFlags, [string], CliContext>({
  docs: help('Show what a patch file would do', [
    'atlas patch inspect fix.atlas',
    'atlas patch inspect fix.atlas --json',
  ]),
  parameters: {
    flags: { json: jsonFlag },
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'The patch file', placeholder: 'FILE', parse: String }],
    },
  },
  func: present<CommonFlags, [string]>(async (_flags, file) => {
    const { inspectPatch } = await import('../patch/patch-object.js');
    const patch = inspectPatch(readInput(file), file);
    const replaced = table(patch.replaced, [
      { title: 'REPLACES', cell: (row) => row.symbol },
      { title: 'OLD BYTES', align: 'right', cell: (row) => row.oldSize },
      { title: 'NEW BYTES', align: 'right', cell: (row) => row.newSize },
    ]);
    return {
      document: patch,
      text: [
        `${patch.name} (${file})\n`,
        `For build-id ${patch.buildId ?? 'any: the old bytes alone decide'}, ${patch.relocations} relocations\n`,
        patch.needs.length > 0 ? `Needs ${patch.needs.join(', ')}\n` : '',
        `\n${replaced}\n${verdicts(patch.verdicts)}`,
      ].join(''),
    };
  }),
});
