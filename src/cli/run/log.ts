/** Where the output of a detached program goes. */
import fs from 'node:fs';
import path from 'node:path';
import type { RuntimeDirectory } from '../../api/runtime-directory.js';
import { AtlasError } from '../../errors/atlas-error.js';

export interface Log {
  /** For people. */
  file: string;
  descriptor: number;
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = fs.constants;

/** The file that the user names. */
export function openNamedLog(file: string): Log {
  const absolute = path.resolve(file);
  try {
    return { file: absolute, descriptor: fs.openSync(absolute, 'a', 0o600) };
  } catch (error) {
    throw unwritable(error);
  }
}

/** `NAME.log` beside the control socket: no other live run has that name, so no other writes there. */
export function openOwnLog(directory: RuntimeDirectory, name: string): Log {
  const file = `${name}.log`;
  try {
    const descriptor = fs.openSync(directory.at(file), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
    return { file: path.join(directory.path, file), descriptor };
  } catch (error) {
    throw unwritable(error);
  }
}

const unwritable = (cause: unknown): AtlasError =>
  new AtlasError(
    'bad-usage',
    `The log cannot be written: ${(cause as Error).message}`,
    'Name another --log.',
    { cause },
  );
