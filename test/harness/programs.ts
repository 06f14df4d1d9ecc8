import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** The full path of an installed program, or undefined: the tests of absent servers are skipped. */
export async function installed(name: string): Promise<string | undefined> {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/sbin');
  for (const folder of folders) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}

/** For `skip`: why a test cannot run here, or false. */
export async function missing(...names: string[]): Promise<string | false> {
  for (const name of names) if ((await installed(name)) === undefined) return `${name} is not installed`;
  return false;
}
