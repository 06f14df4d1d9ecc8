import fs from 'node:fs';
import path from 'node:path';
import { chooseRuntimeDirectory, openRuntimeDirectory } from '../../api/runtime-directory.js';
import { AtlasError } from '../../errors/atlas-error.js';
import { failure, ok, type Probe, warning } from './probe.js';

const OLDEST_NODE = 20;

export const nodeVersion: Probe = {
  name: 'node',
  check: () => {
    const { node } = process.versions;
    if (Number.parseInt(node, 10) >= OLDEST_NODE) return ok(`Node.js ${node}`);
    return failure(`Node.js ${node}`, `Use Node.js ${OLDEST_NODE} or later.`);
  },
};

export const compiler: Probe = {
  name: 'gcc',
  check: () => {
    const found = (process.env.PATH ?? '')
      .split(':')
      .map((directory) => path.join(directory, 'gcc'))
      .find((file) => isExecutable(file));
    if (found !== undefined) return ok(found);
    return warning(
      'not in PATH',
      'Only examples and patch sources need it: apt-get install gcc, or your own compiler.',
    );
  },
};

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const controlSockets: Probe = {
  name: 'control-sockets',
  check: () => {
    try {
      const { path: directory, note } = chooseRuntimeDirectory();
      openRuntimeDirectory(directory)[Symbol.dispose]();
      return note === undefined ? ok(directory) : warning(directory, note);
    } catch (error) {
      const { message, advice } = AtlasError.from(error);
      return failure(message, advice);
    }
  },
};
