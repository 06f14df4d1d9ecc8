import type { InputObject, InputProgram } from './input-program.js';
import { originOf } from './symbol-names.js';

/** Below this share of common names, two files are not one file renamed. */
const LIKENESS = 0.5;

/**
 * Gives the new build's object files the paths that they have in the old one where a file was renamed: the running
 * program knows what they define under that. Two single object files are the same one, whatever their sources are
 * called; of several, those with other names are recognised by what they define.
 */
export function alignPaths(old: InputProgram, fresh: InputProgram): void {
  const oldLeft = [...old.objects.values()].filter(({ path }) => !fresh.objects.has(path));
  const freshLeft = [...fresh.objects.values()].filter(({ path }) => !old.objects.has(path));
  if (old.objects.size === 1 && fresh.objects.size === 1) {
    const [oldObject] = oldLeft;
    const [freshObject] = freshLeft;
    if (oldObject && freshObject) rename(fresh, freshObject, oldObject.path);
    return;
  }
  for (const object of freshLeft) {
    const best = mostAlike(object, oldLeft);
    // Both must choose each other: a file that was split or joined is not the same file.
    if (best === undefined || mostAlike(best, freshLeft) !== object) continue;
    rename(fresh, object, best.path);
  }
}

function rename(program: InputProgram, object: InputObject, path: string): void {
  program.objects.delete(object.path);
  object.path = path;
  program.objects.set(path, object);
}

function mostAlike(object: InputObject, candidates: readonly InputObject[]): InputObject | undefined {
  const names = namesIn(object);
  let best: InputObject | undefined;
  let bestLikeness = LIKENESS;
  for (const candidate of candidates) {
    const others = namesIn(candidate);
    const shared = [...names].filter((name) => others.has(name)).length;
    const likeness = shared / Math.max(1, names.size, others.size);
    if (likeness <= bestLikeness) continue;
    best = candidate;
    bestLikeness = likeness;
  }
  return best;
}

function namesIn(object: InputObject): Set<string> {
  return new Set(
    object.sections.flatMap((section) => section.symbols.map((symbol) => originOf(symbol.name))),
  );
}
