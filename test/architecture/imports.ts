/** The relative imports of a tree of TypeScript files, as written; types count too. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export interface Import {
  /** Both relative to the tree's root, with slashes: `src/linux/ffi.ts`. */
  from: string;
  to: string;
  line: number;
  /** `import type`: nothing is loaded at run time. */
  typeOnly: boolean;
}

const SPECIFIER = /\b(?:from|import)\s*\(?\s*(['"])(\.{1,2}\/[^'"]+)\1/g;
/** What stands between the last statement and its specifier says whether the whole import is of types. */
const TYPE_ONLY = /^\s*(?:import|export)\s+type\b/;

/** The import statement, or the type position, that ends at `end`. */
function isTypeOnly(source: string, at: number): boolean {
  const statement = source
    .slice(source.lastIndexOf(';', at) + 1, at)
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  if (TYPE_ONLY.test(statement)) return true;
  // `thread: import('./model.js').Thread`: a dynamic import is awaited or returned, never behind a colon.
  return source.startsWith('import(', at) && /[:|<]\s*$/.test(statement);
}

export function importsOf(root: string, folders: readonly string[]): Import[] {
  const imports: Import[] = [];
  for (const folder of folders) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const file = join(entry.parentPath, entry.name);
      const source = readFileSync(file, 'utf8');
      for (const match of source.matchAll(SPECIFIER)) {
        imports.push({
          from: relative(root, file),
          to: relative(root, join(dirname(file), match[2]!.replace(/\.js$/, '.ts'))),
          line: source.slice(0, match.index).split('\n').length,
          typeOnly: isTypeOnly(source, match.index),
        });
      }
    }
  }
  return imports;
}
