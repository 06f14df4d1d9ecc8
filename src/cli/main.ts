import fs from 'node:fs';
import { buildApplication, buildRouteMap, ExitCode, run, text_en } from '@stricli/core';
import { AtlasError } from '../errors/atlas-error.js';
import { areasCommand } from './areas.js';
import { type CliContext, reportFailure } from './command.js';
import { doctorCommand } from './doctor.js';
import { generationRoutes } from './generation.js';
import { migrateCommand } from './migrate.js';
import { stderr, stdout } from './output/streams.js';
import { patchRoutes } from './patch.js';
import { psCommand } from './ps.js';
import { readCommand } from './read.js';
import { runCommand } from './run.js';
import { settleCommand } from './settle.js';
import { threadsCommand } from './threads.js';
import { writeCommand } from './write.js';

const packageFile = new URL('../../../package.json', import.meta.url);
const { version } = JSON.parse(fs.readFileSync(packageFile, 'utf8')) as { version: string };

const root = buildRouteMap({
  docs: {
    brief: 'Several address spaces for one running process: wait-free live patching of unmodified programs',
    fullDescription: [
      'Several address spaces for one running process: wait-free live patching of unmodified programs.',
      '',
      'EXIT CODES',
      '  0 done   1 internal error   2 bad usage   3 nothing to do   4 bad input file   5 no such process',
      '  6 refused as unsafe   7 not finished in time   8 unsupported machine',
      '  atlas run: the status of the program; 125 Atlas failed, 126 not executable, 127 not found',
      '',
      'EXAMPLES',
      '  atlas run --name cache --detach -- memcached -t 4',
      '  atlas patch build --old before/ --new after/ -o fix.atlas',
      '  atlas patch apply cache fix.atlas',
    ].join('\n'),
  },
  routes: {
    run: runCommand,
    ps: psCommand,
    threads: threadsCommand,
    areas: areasCommand,
    generation: generationRoutes,
    read: readCommand,
    write: writeCommand,
    migrate: migrateCommand,
    settle: settleCommand,
    patch: patchRoutes,
    doctor: doctorCommand,
  },
});

const application = buildApplication(root, {
  name: 'atlas',
  versionInfo: { currentVersion: version },
  scanner: { allowArgumentEscapeSequence: true },
  documentation: { useAliasInUsageLine: true, onlyRequiredInUsageLine: true },
  localization: { text: text_en },
});

/** stricli's own complaints are about usage; they are held back to be told like every other failure. */
let complaints = '';
const context: CliContext = {
  process: {
    stdout,
    stderr: {
      write: (text: string) => {
        complaints += text;
      },
    },
    env: process.env as Record<string, string>,
  },
};

const words = process.argv.slice(2);
await run(application, words, context);

const { exitCode } = context.process;
if (exitCode === ExitCode.InvalidArgument || exitCode === ExitCode.UnknownCommand) {
  const end = words.indexOf('--');
  const json = (end === -1 ? words : words.slice(0, end)).includes('--json');
  const usage = new AtlasError(
    'bad-usage',
    complaints.trim(),
    'See `atlas --help`, or --help after the command.',
  );
  process.exitCode = reportFailure(usage, json);
} else {
  stderr.write(complaints);
  process.exitCode = exitCode ?? 0;
}
