import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EventLog } from '../../src/api/event-log.js';
import { openRuntimeDirectory } from '../../src/api/runtime-directory.js';
import { type ControlServer, type Run, serveRun } from '../../src/api/server.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import type { OperationName, Operations, Parameters, Result } from '../../src/supervisor/protocol.js';

/** A runtime directory of the test's own, in the environment while the test runs. */
export function temporaryRuntimeDirectory(): { path: string; remove(): void } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-api-'));
  const before = process.env.ATLAS_RUNTIME_DIR;
  process.env.ATLAS_RUNTIME_DIR = directory;
  return {
    path: directory,
    remove: () => {
      if (before === undefined) delete process.env.ATLAS_RUNTIME_DIR;
      else process.env.ATLAS_RUNTIME_DIR = before;
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

type Answers = { [N in OperationName]?: (parameters: Parameters<N>) => Result<N> | Promise<Result<N>> };

/** Stands in for the tracing thread, to test the socket alone: it answers what the test tells it to. */
export async function serveAnswers(
  directory: string,
  name: string,
  answers: Answers,
): Promise<{ server: ControlServer; run: Run; asked: [OperationName, unknown][] }> {
  const asked: [OperationName, unknown][] = [];
  const run: Run = {
    info: {
      name: '',
      pid: 4711,
      supervisorPid: process.pid,
      command: ['server'],
      startedAt: '2026-01-01T00:00:00Z',
    },
    events: new EventLog(4),
    tracer: {
      request: async <N extends OperationName>(operation: N, parameters: Operations[N]['parameters']) => {
        asked.push([operation, parameters]);
        const answer = answers[operation];
        if (!answer)
          throw new AtlasError('refused', `${operation} is not answered here.`, 'Ask something else.');
        return answer(parameters);
      },
    },
  };
  // As a supervisor does, the server keeps its directory open for the rest of its process's life.
  return { server: await serveRun(run, openRuntimeDirectory(directory), [name]), run, asked };
}
