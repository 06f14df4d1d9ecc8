import fs from 'node:fs';
import path from 'node:path';
import { AtlasError } from '../errors/atlas-error.js';

/**
 * Where the control sockets of a user's runs are. Who can open a socket there can rewrite the code of the
 * user's processes, so the directory is used only when nobody else can put anything into it.
 */
export function runtimeDirectoryPath(env: NodeJS.ProcessEnv = process.env, uid = process.geteuid!()): string {
  if (env.ATLAS_RUNTIME_DIR) return path.resolve(env.ATLAS_RUNTIME_DIR);
  if (env.XDG_RUNTIME_DIR) return path.join(path.resolve(env.XDG_RUNTIME_DIR), 'atlas');
  if (fs.existsSync(`/run/user/${uid}`)) return `/run/user/${uid}/atlas`;
  return `/tmp/atlas-${uid}`;
}

/** Creates the directory when it is missing, and refuses one that others can reach or own. */
export function openRuntimeDirectory(directory = runtimeDirectoryPath()): string {
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unusable(directory, error);
  }
  verifyRuntimeDirectory(directory);
  return directory;
}

/** The directory, verified; `undefined` when no run of this user ever made it. */
export function existingRuntimeDirectory(directory = runtimeDirectoryPath()): string | undefined {
  if (!fs.existsSync(directory)) return undefined;
  verifyRuntimeDirectory(directory);
  return directory;
}

function verifyRuntimeDirectory(directory: string): void {
  // lstat: in /tmp, a symbolic link may be somebody else's way of pointing us at a directory of ours.
  let status: fs.Stats;
  try {
    status = fs.lstatSync(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
  const fault = !status.isDirectory()
    ? 'is not a directory'
    : status.uid !== process.geteuid!()
      ? `belongs to user ${status.uid}`
      : (status.mode & 0o077) !== 0
        ? `is open to others (mode ${(status.mode & 0o777).toString(8).padStart(4, '0')})`
        : undefined;
  if (fault !== undefined) {
    throw new AtlasError(
      'refused',
      `The directory for control sockets, ${directory}, ${fault}.`,
      'Remove it or make it yours with mode 0700, or name another one in ATLAS_RUNTIME_DIR.',
    );
  }
}

function unusable(directory: string, cause: unknown): AtlasError {
  return new AtlasError(
    'refused',
    `The directory for control sockets, ${directory}, cannot be used: ${(cause as Error).message}.`,
    'Name a directory whose parent exists and is writable in ATLAS_RUNTIME_DIR.',
    { cause },
  );
}
