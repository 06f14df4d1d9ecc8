import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './command.js';
import { COMPILER_FLAGS, type Target, repositoryRoot, requireCompiler } from './target.js';
import { applyUnifiedDiff } from './unified-diff.js';

/** Builds the example server, and the objects of its source before and after the fix, in `folder`. */
export async function buildQuote(folder: string): Promise<Target> {
  await requireCompiler();
  const sources = join(repositoryRoot(), 'examples/server');
  const source = await readFile(join(sources, 'quote.c'), 'utf8');
  const diff = await readFile(join(sources, 'rounding.patch'), 'utf8');
  const compile = async (version: string, text: string): Promise<string> => {
    const objects = join(folder, version);
    await mkdir(objects, { recursive: true });
    await writeFile(join(objects, 'quote.c'), text);
    // Compiled inside its folder, so that no path of the folder gets into the objects.
    await mustRun(['gcc', '-Wall', '-Wextra', ...COMPILER_FLAGS, '-c', 'quote.c', '-o', 'quote.o'], {
      cwd: objects,
    });
    return join(objects, 'quote.o');
  };
  const oldObjects = await compile('v1', source);
  const newObjects = await compile('v2', applyUnifiedDiff(source, diff));
  const executable = join(folder, 'quote');
  await mustRun(['gcc', '-pthread', oldObjects, '-o', executable]);
  return {
    name: 'quote',
    executable,
    oldObjects,
    newObjects,
    fix: diff.slice(0, diff.indexOf('\n')),
    serve: (port) => [executable, String(port)],
  };
}
