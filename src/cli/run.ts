import { buildCommand } from '@stricli/core';
import { checkRunName } from '../api/run-name.js';
import { AtlasError, EXIT_CODE } from '../errors/atlas-error.js';
import type { Ending } from '../supervisor/protocol.js';
import { type CliContext, type CommonFlags, help, jsonFlag, reportFailure } from './command.js';
import { stdout } from './output/streams.js';

interface Flags extends CommonFlags {
  readonly name?: string;
  readonly detach: boolean;
  readonly log?: string;
  readonly events?: string;
}

/** What `atlas run` says when Atlas itself fails, so that it differs from the program's own status. */
const ATLAS_FAILED = 125;

const file = { kind: 'parsed', parse: String, placeholder: 'FILE', optional: true } as const;

export const runCommand = buildCommand<Flags, string[], CliContext>({
  docs: help(
    'Run a program under Atlas, with its own input, output, terminal, signals and exit status\n\n' +
      'Exits with the status of the program (128+N when signal N killed it); with 125 when Atlas fails, 126 when the ' +
      'command cannot be executed, 127 when it is not found. Descendants that outlive the command stay supervised ' +
      'in the background. With --detach the program gets a session of its own, /dev/null as input and a log as ' +
      'output, and the command returns as soon as it has started.',
    [
      'atlas run -- ./server --port 8080',
      'atlas run --name cache --detach --log cache.log -- memcached -t 4',
      'atlas run --name cache --detach --json -- memcached -t 4',
    ],
  ),
  parameters: {
    flags: {
      json: {
        ...jsonFlag,
        brief: 'Print JSON instead of text; in the foreground, for a failure to start only',
      },
      name: {
        kind: 'parsed',
        parse: String,
        brief: "The run's name; by default the command's base name, made unique",
        placeholder: 'NAME',
        optional: true,
      },
      detach: {
        kind: 'boolean',
        brief: 'Return as soon as the program runs',
        default: false,
        withNegated: false,
      },
      log: { ...file, brief: 'Output of a detached program; by default NAME.log beside the control socket' },
      events: { ...file, brief: "Append the supervisor's events, one JSON document per line" },
    },
    positional: {
      kind: 'array',
      parameter: { brief: 'The command and its arguments, after --', placeholder: 'COMMAND', parse: String },
      minimum: 1,
    },
  },
  func: async (flags, ...argv) => {
    let hasStdout = true;
    try {
      if (flags.name !== undefined) checkRunName(flags.name);
      if (flags.log !== undefined && !flags.detach) {
        throw new AtlasError(
          'bad-usage',
          '--log is for detached programs only.',
          'Add --detach, or redirect the output.',
        );
      }
      const { name, detach, log, events } = flags;
      // Loaded late: it needs the native module, without which `atlas doctor` must still work.
      const { runInForeground, runDetached } = await import('./run/front.js');
      const { exitNow } = await import('./run/native-attributes.js');
      if (!detach) {
        const ending = await runInForeground({ argv, name, detach, log, events }, () => {
          hasStdout = false;
        });
        exitNow(status(ending));
      }
      const started = await runDetached({ argv, name, detach, log, events });
      stdout.write(
        flags.json
          ? `${JSON.stringify(started)}\n`
          : `${started.name}: pid ${started.pid}, output in ${started.log!}\n`,
      );
      exitNow(0);
    } catch (failure) {
      const error = AtlasError.from(failure);
      reportFailure(error, flags.json && hasStdout);
      const { exitCode } = failure as { exitCode?: number };
      process.exit(exitCode ?? (error.kind === 'bad-usage' ? EXIT_CODE['bad-usage'] : ATLAS_FAILED));
    }
  },
});

/** As a shell tells it. */
const status = (ending: Ending): number => (ending.kind === 'exited' ? ending.code : 128 + ending.signal);
