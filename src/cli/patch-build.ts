import fs from 'node:fs';
import { buildCommand } from '@stricli/core';
import { AtlasError } from '../errors/atlas-error.js';
import { DOUBT_KINDS, type DoubtKind } from '../patch/doubts.js';
import { type CliContext, type CommonFlags, help, jsonFlag, present } from './command.js';
import { table } from './output/table.js';

interface Flags extends CommonFlags {
  readonly old: string;
  readonly new: string;
  readonly output: string;
  readonly target?: string;
  readonly name?: string;
  readonly accept?: readonly DoubtKind[];
}

const path = { kind: 'parsed', parse: String } as const;

export const buildPatchCommand = buildCommand<Flags, [], CliContext>({
  docs: help(
    'Make a patch file of two builds of a program\n\n' +
      'OLD and NEW are object files, or folders of object files, of one program before and after a change of its ' +
      'source; both compiled with -ffunction-sections -fdata-sections and otherwise the same options.',
    [
      'atlas patch build --old before/ --new after/ -o fix.atlas',
      'atlas patch build --old old.o --new new.o --target ./server -o fix.atlas',
      'atlas patch build --old old.o --new new.o -o fix.atlas --accept enumerators',
    ],
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      old: { ...path, brief: 'Object file or folder of the running build', placeholder: 'OLD' },
      new: { ...path, brief: 'Object file or folder of the changed build', placeholder: 'NEW' },
      output: { ...path, brief: 'The patch file to write', placeholder: 'FILE' },
      target: {
        ...path,
        brief: 'The linked executable that runs: only its build-id is then accepted',
        placeholder: 'EXECUTABLE',
        optional: true,
      },
      accept: {
        kind: 'enum',
        values: DOUBT_KINDS,
        brief: 'A kind of doubt that refuses the patch otherwise; the patch then carries a warning',
        placeholder: 'KIND',
        optional: true,
        variadic: true,
      },
      name: {
        ...path,
        brief: 'What `atlas patch status` calls the patch',
        placeholder: 'NAME',
        optional: true,
      },
    },
    aliases: { o: 'output' },
  },
  func: present<Flags, []>(async (flags) => {
    // Loaded late: other commands start faster without it.
    const { buildPatch } = await import('../patch/build.js');
    const { bytes, report } = buildPatch({
      old: flags.old,
      new: flags.new,
      ...(flags.target === undefined ? {} : { target: flags.target }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.accept === undefined ? {} : { accept: flags.accept }),
    });
    try {
      fs.writeFileSync(flags.output, bytes);
    } catch (error) {
      throw new AtlasError('bad-usage', `The patch cannot be written: ${(error as Error).message}`, '', {
        cause: error,
      });
    }
    return {
      document: { file: flags.output, bytes: bytes.length, ...report },
      text: `${flags.output}: ${bytes.length} bytes\n${verdicts(report.verdicts)}`,
    };
  }),
});

export function verdicts(rows: readonly { symbol: string; verdict: string; reason: string }[]): string {
  return table(rows, [
    { title: 'VERDICT', cell: (row) => row.verdict },
    { title: 'SYMBOL', cell: (row) => row.symbol },
    { title: 'REASON', cell: (row) => row.reason },
  ]);
}
