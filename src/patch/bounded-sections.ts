import type { Comparison } from './compare.js';
import { type InputProgram, type InputSection, isDiscarded, nameOf } from './input-program.js';

/** Of a section with such a name, the linker defines the bounds: `__start_name` and `__stop_name`. */
const C_IDENTIFIER = /^[A-Za-z_]\w*$/;

/** What linkers and compilers know themselves. Another name means something to the program's own linker script. */
const ORDINARY =
  /^\.(text|data|bss|rodata|tdata|tbss|l?(data|bss|rodata)|init_array|fini_array|preinit_array|[cd]tors|init|fini|eh_frame|gcc_except_table|note|comment|stapsdt|gnu|tm_clone_table|jcr|debug\w*|zdebug\w*)\b/;

/**
 * Sections that are read from their start to their end. What the running program has there is fixed: an entry that is new, gone
 * or other would go unnoticed.
 */
export function changedBoundedSections(
  old: InputProgram,
  fresh: InputProgram,
  comparison: Comparison,
): string[] {
  const before = boundedIn(old);
  const after = boundedIn(fresh);
  const reasons: string[] = [];
  const note = (section: InputSection, what: string) =>
    reasons.push(
      `${nameOf(section)}: ${what} section ${section.header.name}, which the program reads between bounds that are fixed`,
    );
  const known = new Set<InputSection>();
  for (const section of after) {
    const other =
      comparison.pairs.get(section) ?? before.find((candidate) => isUnnamedTwin(candidate, section));
    if (other === undefined || other.header.name !== section.header.name) note(section, 'new in');
    else {
      known.add(other);
      if (!comparison.sameContent(other, section)) note(section, 'changed in');
    }
  }
  for (const section of before) if (!known.has(section)) note(section, 'gone from');
  return reasons;
}

function boundedIn(program: InputProgram): InputSection[] {
  const bounds = new Set(
    [...program.objects.values()]
      .flatMap(({ elf }) => elf.symbols)
      .flatMap(({ name }) => /^__(?:start|stop)_(.*)$/.exec(name)?.[1] ?? []),
  );
  return [...program.objects.values()]
    .flatMap(({ sections }) => sections)
    .filter(
      (section) => section.kind !== 'ignored' && section.header.size > 0 && !isDiscarded(section, program),
    )
    .filter(({ header, kind }) =>
      // Code is seldom read; a program that does names the bounds.
      kind === 'code'
        ? bounds.has(header.name)
        : C_IDENTIFIER.test(header.name) || !ORDINARY.test(header.name),
    );
}

function isUnnamedTwin(old: InputSection, fresh: InputSection): boolean {
  return (
    old.primary === undefined &&
    fresh.primary === undefined &&
    old.object.path === fresh.object.path &&
    old.header.name === fresh.header.name
  );
}
