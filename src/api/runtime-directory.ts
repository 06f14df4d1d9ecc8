import fs from 'node:fs';
import nodePath from 'node:path';
import { AtlasError } from '../errors/atlas-error.js';
import { type Fault, openChecked } from './checked-path.js';

/** A directory for control sockets, and what to tell the user when it is not the one that the environment names. */
export interface Choice {
  path: string;
  note?: string;
}

/**
 * Where the control sockets of a user's runs are. Who can open a socket there can rewrite the code of the
 * user's processes, so the directory is used only when nobody else can put anything into it.
 *
 * `su` and `runuser` leave XDG_RUNTIME_DIR as it was: one that belongs to somebody else was not meant for us.
 * ATLAS_RUNTIME_DIR is what somebody asked for by name: it is used or refused.
 */
export function chooseRuntimeDirectory(
  env: NodeJS.ProcessEnv = process.env,
  uid = process.geteuid!(),
): Choice {
  if (env.ATLAS_RUNTIME_DIR) return { path: nodePath.resolve(env.ATLAS_RUNTIME_DIR) };
  if (!env.XDG_RUNTIME_DIR) return { path: ownDirectory(uid) };
  const session = nodePath.resolve(env.XDG_RUNTIME_DIR);
  const owner = fs.statSync(session, { throwIfNoEntry: false })?.uid;
  if (owner === undefined || owner === uid) return { path: nodePath.join(session, 'atlas') };
  const own = ownDirectory(uid);
  return {
    path: own,
    note: `XDG_RUNTIME_DIR is ${session}, which belongs to user ${owner}: ${own} is used instead.${asOwner(owner, uid)}`,
  };
}

export const runtimeDirectoryPath = (env?: NodeJS.ProcessEnv, uid?: number): string =>
  chooseRuntimeDirectory(env, uid).path;

function ownDirectory(uid: number): string {
  if (fs.statSync(`/run/user/${uid}`, { throwIfNoEntry: false })?.uid === uid)
    return `/run/user/${uid}/atlas`;
  if (uid === 0 && fs.existsSync('/run')) return '/run/atlas';
  return `/tmp/atlas-${uid}`;
}

/** How root gets at the runs of a user: as that user, never by way of the user's own directories. */
const asOwner = (owner: number, uid: number): string =>
  uid === 0 ? ` To control that user's runs: runuser -u "$(id -nu ${owner})" -- atlas ...` : '';

/** The directory, held open: whatever happens to its path afterwards, names are looked up in just this one. */
export class RuntimeDirectory implements Disposable {
  constructor(
    /** For people; to be opened by nobody. */
    readonly path: string,
    readonly descriptor: number,
  ) {}

  /** A path to an entry that goes by way of the descriptor (proc(5), /proc/PID/fd); short, and as safe as openat(2). */
  at(name: string): string {
    return `/proc/self/fd/${this.descriptor}/${name}`;
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.descriptor);
  }
}

/** Creates the directory when it is missing, and refuses one that others can reach, own or exchange. */
export function openRuntimeDirectory(directory = runtimeDirectoryPath()): RuntimeDirectory {
  return open(directory, true)!;
}

/** The directory as it is; `undefined` when no run of this user ever made it. */
export function existingRuntimeDirectory(directory = runtimeDirectoryPath()): RuntimeDirectory | undefined {
  return open(directory, false);
}

function open(directory: string, create: boolean): RuntimeDirectory | undefined {
  const uid = process.geteuid!();
  const opened = openChecked(directory, uid, create);
  if (typeof opened === 'number') return new RuntimeDirectory(directory, opened);
  if (opened.kind === 'missing' && !create) return undefined;
  throw new AtlasError('refused', describe(directory, opened), advice(opened, uid), { cause: opened.cause });
}

function describe(directory: string, { kind, path: part, why }: Fault): string {
  const where = part === directory ? '' : kind === 'untrusted' ? `is not safe there: ${part} ` : `${part}: `;
  const what = kind === 'untrusted' ? where : `cannot be used: ${where}`;
  return `The directory for control sockets, ${directory}, ${what}${why}.`;
}

function advice(fault: Fault, uid: number): string {
  if (fault.kind !== 'untrusted')
    return 'Name a directory whose parent exists and is writable in ATLAS_RUNTIME_DIR.';
  const own =
    'Make it yours with mode 0700 in folders that only you and root can change, or name another one in ATLAS_RUNTIME_DIR.';
  return own + (fault.owner === undefined ? '' : asOwner(fault.owner, uid));
}
