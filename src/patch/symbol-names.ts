/**
 * What compilers do to names. Several things of one name are numbered in the order of the source, so an edit gives the
 * number of one to another: a number says nothing about what a symbol was in the other build.
 */

/** gcc and clang number what shares a name: `n.0` (static in a function), `f.part.0`, `f.constprop.1.cold`. */
const NUMBER = /\.\d+(?=\.|$)/g;
const CLONE_SUFFIX = /\.(cold|part|isra|constprop|lto_priv|llvm|localalias|#)(?=\.|$)/g;

const withoutNumbers = (name: string) => name.replace(NUMBER, '.#');

/** The source's name for the function a clone was made of. */
export function originOf(name: string): string {
  return withoutNumbers(name).replace(CLONE_SUFFIX, '');
}

/**
 * Itanium C++ ABI, section 5.1.7: of several local entities of one name all but the first have a discriminator,
 * `_3` or `__12_`, behind their name, which itself follows an `E`.
 */
const LOCAL_NAME = /E(\d+)/g;
const DISCRIMINATOR = /^(_\d|__\d+_)/;
/** The same, section 5.1.8: closure types and types without a name. clang has `$_0` where others cannot see them. */
const CLOSURE = /E\d*_/g;
const UNNAMED = /Ut\d*_/g;
const CLANG_UNNAMED = /\d+\$_\d+/g;

/** Equal for symbols that differ in numbers only; the name itself for one without numbers. */
export function familyOf(name: string): string {
  if (name.startsWith('_Z')) return cppFamilyOf(name);
  const plain = name.replace(NUMBER, '');
  // clang calls a static of a function `f.n`, and the next one `f.n.1`; gcc begins with `n.0`.
  return plain.includes('.') ? plain : withoutNumbers(name);
}

function cppFamilyOf(name: string): string {
  let family = withoutNumbers(name);
  let at = 0;
  for (const match of family.matchAll(LOCAL_NAME)) {
    const end = match.index + match[0].length + Number(match[1]);
    const discriminator = DISCRIMINATOR.exec(family.slice(end))?.[0];
    if (end < at || discriminator === undefined) continue;
    // Everything keeps its length, so that the positions of further matches hold.
    family =
      family.slice(0, end) + '~'.repeat(discriminator.length) + family.slice(end + discriminator.length);
    at = end;
  }
  family = family.replaceAll('~', '').replace(UNNAMED, 'Ut#_').replace(CLANG_UNNAMED, '$_#');
  const closure = family.indexOf('Ul');
  return closure < 0 ? family : family.slice(0, closure) + family.slice(closure).replace(CLOSURE, 'E#_');
}

/** True for what belongs to a closure or to a type without a name: it has only its place in the source. */
export function isNumberedByPlace(name: string): boolean {
  return name.startsWith('_Z') && /Ul.*E\d*_|Ut\d*_|\$_\d/.test(name);
}

/** `n.2` before `n.10`. */
export function byNumber(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : Number(a > b));
}
