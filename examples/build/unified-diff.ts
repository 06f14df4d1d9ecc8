import { AtlasError } from '../../src/errors/atlas-error.js';

/** One `@@` section: the line of the old file it starts at (from 1), and its lines with their marks. */
interface Hunk {
  start: number;
  lines: string[];
}

function parseHunks(diff: string): Hunk[] {
  const hunks: Hunk[] = [];
  for (const line of diff.split('\n')) {
    const header = /^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@/.exec(line);
    if (header) hunks.push({ start: Number(header[1]), lines: [] });
    else if (hunks.length > 0 && /^[ +-]/.test(line)) hunks.at(-1)!.lines.push(line);
  }
  return hunks;
}

/** The file that a unified diff of one file is for, as its `---` line names it, without the `a/`. */
export function fileOfDiff(diff: string): string {
  const name = /^--- (?:a\/)?(\S+)/m.exec(diff)?.[1];
  if (name === undefined)
    throw new AtlasError('bad-input', 'the patch does not name the file that it changes');
  return name;
}

/**
 * Applies a unified diff of one file. The context must match exactly and at the stated lines: a fix that does not
 * fit the source to the letter is refused, not guessed at.
 */
export function applyUnifiedDiff(source: string, diff: string): string {
  const old = source.split('\n');
  const result: string[] = [];
  let next = 0;
  for (const hunk of parseHunks(diff)) {
    result.push(...old.slice(next, hunk.start - 1));
    next = hunk.start - 1;
    for (const line of hunk.lines) {
      const text = line.slice(1);
      if (!line.startsWith('+')) {
        if (old[next] !== text)
          throw new AtlasError(
            'bad-input',
            `the fix does not fit ${fileOfDiff(diff)}: line ${next + 1} should be ${JSON.stringify(text)}`,
          );
        next++;
      }
      if (!line.startsWith('-')) result.push(text);
    }
  }
  result.push(...old.slice(next));
  return result.join('\n');
}
