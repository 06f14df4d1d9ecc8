import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { isInstalled, mustRun, run } from './command.js';
import { COMPILER_FLAGS, type Target, repositoryRoot, requireCompiler } from './target.js';
import { applyUnifiedDiff, fileOfDiff } from './unified-diff.js';

const BUILD_MILLISECONDS = 600_000;
const PACKAGES = 'gcc make dpkg-dev libevent-dev';

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'atlas', 'memcached');
}

async function requireTools(): Promise<void> {
  await requireCompiler();
  const missing: string[] = [];
  for (const tool of ['make', 'apt-get', 'dpkg-source']) if (!(await isInstalled(tool))) missing.push(tool);
  const header = await run(['gcc', '-E', '-include', 'event2/event.h', '-x', 'c', '/dev/null']);
  if (header.code !== 0) missing.push("libevent's headers");
  if (missing.length > 0)
    throw new AtlasError(
      'unsupported-machine',
      `building memcached from Debian's source package needs ${missing.join(', ')}`,
      `On Debian or Ubuntu: \`apt-get install ${PACKAGES}\`, then try again.`,
    );
}

/** Fetches and unpacks Debian's source of memcached; answers its folder. */
async function fetchSource(folder: string, progress: (text: string) => void): Promise<string> {
  const unpacked = async (): Promise<string | undefined> => {
    const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const name = names.find((entry) => /^memcached-\d/.test(entry.name));
    return name && join(folder, name.name);
  };
  await mkdir(folder, { recursive: true });
  const there = await unpacked();
  if (there !== undefined) return there;
  progress('fetching the source package of memcached with apt-get source');
  const fetched = await run(['apt-get', 'source', '-q', 'memcached'], {
    cwd: folder,
    timeoutMilliseconds: BUILD_MILLISECONDS,
  });
  const source = await unpacked();
  if (fetched.code === 0 && source !== undefined) return source;
  throw new AtlasError(
    'unsupported-machine',
    `\`apt-get source memcached\` failed:\n${fetched.stderr.trim().split('\n').slice(-4).join('\n')}`,
    'Enable source packages: add `deb-src` to the `Types:` line of /etc/apt/sources.list.d/debian.sources (or ' +
      'repeat the `deb` lines of /etc/apt/sources.list as `deb-src`), run `apt-get update`, then try again.',
  );
}

async function copyObjects(source: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  for (const name of await readdir(source))
    if (name.startsWith('memcached-') && name.endsWith('.o'))
      await copyFile(join(source, name), join(target, name));
}

/** Builds before the fix, keeps the objects and the program, applies the fix, and builds again in the same place. */
async function buildBoth(
  source: string,
  folder: string,
  diff: string,
  progress: (text: string) => void,
): Promise<void> {
  progress('configuring memcached');
  await mustRun(['./configure', '--disable-dependency-tracking'], {
    cwd: source,
    timeoutMilliseconds: BUILD_MILLISECONDS,
    env: { CFLAGS: COMPILER_FLAGS.join(' ') },
  });
  progress('compiling memcached as Debian has it');
  const make = ['make', '-j2', 'memcached'];
  await mustRun(make, { cwd: source, timeoutMilliseconds: BUILD_MILLISECONDS });
  await copyObjects(source, join(folder, 'old'));
  await copyFile(join(source, 'memcached'), join(folder, 'memcached-old'));
  progress('compiling memcached with the fix');
  const file = join(source, fileOfDiff(diff));
  await writeFile(file, applyUnifiedDiff(await readFile(file, 'utf8'), diff));
  // Without dependency tracking make does not know what includes what: only the changed file is rebuilt.
  await rm(join(source, `memcached-${fileOfDiff(diff).replace(/\.c$/, '.o')}`), { force: true });
  await mustRun(make, { cwd: source, timeoutMilliseconds: BUILD_MILLISECONDS });
  await copyObjects(source, join(folder, 'new'));
  await copyFile(join(source, 'memcached'), join(folder, 'memcached-new'));
}

export interface MemcachedTarget extends Target {
  /** The program built from the fixed source: what a restart would bring. */
  fixedExecutable: string;
}

/** Builds memcached from Debian's source package with and without the fix; later calls find it in the cache. */
export async function buildMemcached(progress: (text: string) => void = () => {}): Promise<MemcachedTarget> {
  const diff = await readFile(join(repositoryRoot(), 'examples/memcached/incr-large-counter.patch'), 'utf8');
  const folder = cacheFolder();
  const finished = join(folder, 'finished');
  const isFinished = existsSync(finished) && (await readFile(finished, 'utf8')) === diff;
  if (!isFinished) {
    await requireTools();
    await rm(folder, { recursive: true, force: true });
    await buildBoth(await fetchSource(folder, progress), folder, diff, progress);
    await writeFile(finished, diff);
  }
  const executable = join(folder, 'memcached-old');
  // memcached refuses to run as root unless it is told whom to become.
  const user = userInfo().uid === 0 ? ['-u', 'nobody'] : [];
  return {
    name: 'memcached',
    executable,
    fixedExecutable: join(folder, 'memcached-new'),
    oldObjects: join(folder, 'old'),
    newObjects: join(folder, 'new'),
    fix: diff.slice(0, diff.indexOf('\n')),
    serve: (port) => [
      executable,
      '-l',
      '127.0.0.1',
      '-p',
      String(port),
      '-U',
      '0',
      '-t',
      '4',
      '-m',
      '256',
      ...user,
    ],
  };
}
