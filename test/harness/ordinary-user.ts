import { execFile } from 'node:child_process';
import { access, cp, mkdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from './paths.js';

const execute = promisify(execFile);
const NAME = 'atlas-test';

export interface User {
  uid: number;
  gid: number;
}

/** An account without privileges to run things as; undefined when we are not root and are one already. */
export async function ordinaryUser(): Promise<User | undefined> {
  if (process.getuid!() !== 0) return undefined;
  const existing = await lookUp();
  if (existing !== undefined) return existing;
  await execute('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', NAME]);
  const created = await lookUp();
  if (created === undefined) throw new Error(`useradd made no account ${NAME}`);
  return created;
}

async function lookUp(): Promise<User | undefined> {
  const entry = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .find((line) => line.startsWith(`${NAME}:`));
  if (entry === undefined) return undefined;
  const [, , uid, gid] = entry.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** The command-line tool at a place where that user can read it: a checkout may lie in a private folder. */
export async function atlasReadableBy(user: User): Promise<string> {
  if (await canRead(user, join(PROJECT, 'bin/atlas.js'))) return join(PROJECT, 'bin/atlas.js');
  const { mtimeMs } = await stat(join(PROJECT, 'dist/src'));
  const copy = join(tmpdir(), `atlas-test-copy-${Math.floor(mtimeMs)}`);
  const missing = await access(copy).then(
    () => false,
    () => true,
  );
  if (missing) {
    await mkdir(copy, { mode: 0o755 });
    for (const part of ['bin', 'dist', 'node_modules', 'package.json']) {
      await cp(join(PROJECT, part), join(copy, part), { recursive: true });
    }
  }
  return join(copy, 'bin/atlas.js');
}

async function canRead(user: User, path: string): Promise<boolean> {
  return execute('test', ['-r', path], { uid: user.uid, gid: user.gid }).then(
    () => true,
    () => false,
  );
}
