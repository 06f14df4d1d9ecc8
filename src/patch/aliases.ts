import { type InputProgram, type InputSection, isDiscarded, qualifiedName } from './input-program.js';

/**
 * Names that meant one thing and mean another now: an alias that became a function or variable of its own, or the
 * other way round. Whoever called it by that name, or kept its address, goes on with what it was.
 */
export function changedAliases(
  old: InputProgram,
  fresh: InputProgram,
  pairs: ReadonlyMap<InputSection, InputSection>,
): string[] {
  const before = namedSections(old);
  const reasons: string[] = [];
  for (const [name, section] of namedSections(fresh)) {
    const other = before.get(name);
    if (other === undefined || pairs.get(section) === other) continue;
    if (!hasAliases(section) && !hasAliases(other)) continue;
    reasons.push(`${name}: was ${describe(other, name)} and is ${describe(section, name)} now`);
  }
  return reasons;
}

function namedSections(program: InputProgram): Map<string, InputSection> {
  const sections = new Map<string, InputSection>();
  for (const object of program.objects.values()) {
    for (const section of object.sections) {
      const isThing = section.kind === 'code' || section.kind === 'variable' || section.kind === 'constant';
      if (!isThing || isDiscarded(section, program)) continue;
      for (const symbol of section.symbols) sections.set(qualifiedName(object, symbol), section);
    }
  }
  return sections;
}

/** Several names for one place. */
const hasAliases = ({ symbols }: InputSection): boolean =>
  new Set(symbols.map(({ value }) => value)).size < symbols.length;

function describe(section: InputSection, name: string): string {
  const others = section.symbols
    .map((symbol) => qualifiedName(section.object, symbol))
    .filter((other) => other !== name);
  return hasAliases(section) ? `another name of ${others.join(', ')}` : 'a thing of its own';
}
