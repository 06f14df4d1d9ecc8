/** Checks imports against the layers: direction between folders, and no cycle of files at run time. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Import, importsOf } from './imports.js';
import { LAYERS, SUPERVISOR_PROTOCOL, USERS } from './layers.js';

/** What is wrong with the tree at `root`, one sentence each; empty when all arrows point downwards. */
export function violations(root: string): string[] {
  const folders = ['src', ...USERS.map(([folder]) => folder)].filter((folder) =>
    existsSync(join(root, folder)),
  );
  const imports = importsOf(root, folders);
  return [...unlisted(root), ...wrongWays(imports), ...fileCycles(imports)];
}

/** The table itself: every folder has its place, and names only folders before it. */
function unlisted(root: string): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  for (const [folder, mayImport] of LAYERS) {
    for (const other of mayImport) {
      if (!seen.has(other)) found.push(`layers.ts: ${folder} may not name ${other}, which is not below it`);
    }
    seen.add(folder);
  }
  for (const entry of readdirSync(join(root, 'src'), { withFileTypes: true })) {
    if (entry.isDirectory() && !seen.has(entry.name))
      found.push(`src/${entry.name}/ has no place in layers.ts`);
  }
  return found;
}

function wrongWays(imports: readonly Import[]): string[] {
  const found: string[] = [];
  for (const { from, to, line } of imports) {
    const [top, folder] = from.split('/') as [string, string];
    const [targetTop, target, ...rest] = to.split('/') as [string, string, ...string[]];
    const say = (reason: string): number => found.push(`${from}:${line}: imports ${to}: ${reason}`);
    if (top === 'src') {
      const allowed = LAYERS.find(([name]) => name === folder)?.[1] ?? [];
      if (targetTop !== 'src') say('the product must not depend on what uses it');
      else if (target !== folder && !allowed.includes(target)) say(`${folder} is not above ${target}`);
      else if (
        folder === 'api' &&
        target === 'supervisor' &&
        `${target}/${rest.join('/')}` !== SUPERVISOR_PROTOCOL
      ) {
        say(`of the supervisor, the api knows only ${SUPERVISOR_PROTOCOL}`);
      }
      continue;
    }
    const allowed = USERS.find(([name]) => name === top)?.[1] ?? [];
    if (targetTop === top || allowed.includes(targetTop) || allowed.includes(`${targetTop}/${target}`))
      continue;
    say(`${top} may use only ${allowed.join(', ')}`);
  }
  return found;
}

/** Cycles of files that load each other; types alone make no cycle, since they are gone at run time. */
function fileCycles(imports: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to, typeOnly } of imports) {
    if (!typeOnly) next.set(from, [...(next.get(from) ?? []), to]);
  }
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) {
      found.add(`a cycle of imports: ${[...path.slice(start), file].join(' -> ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const other of next.get(file) ?? []) visit(other, [...path, file]);
    done.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return [...found];
}
