/** A case of the battery: a program before and after a change of its source, and the right verdict on it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PROJECT } from '../../harness/paths.js';

export const BATTERY = join(PROJECT, 'test/patch/battery');

export interface Verdict {
  /** What every thread sees after the patch; undefined when it must not be applied. */
  right: string | undefined;
  /** What a refusal must say; undefined when there must be none. */
  refused: RegExp | undefined;
}

/** One way to change the program. */
export interface Variant {
  /** Given to the compiler besides `-DAFTER`. */
  macros: string[];
  /** Kinds of doubt that the user vouches for (`atlas patch build --accept`). */
  accept: string[];
  /** The first that fits a build tells what is right there. */
  verdicts: { builds: string[]; verdict: Verdict }[];
}

export interface Case {
  name: string;
  about: string;
  /** Source files, the one with the directives first. */
  sources: string[];
  before: string;
  variants: Variant[];
  flags: string[];
  link: string[];
  /** Words that a build's name must have. */
  only: string[];
  /** Programs without which the case is skipped. */
  needs: string[];
}

/** Every file of `cases/`, and every folder of it that has a main file of its own name. */
export function readCases(): Case[] {
  const folder = join(BATTERY, 'cases');
  return readdirSync(folder)
    .toSorted()
    .map((entry) => readCase(join(folder, entry)));
}

function readCase(path: string): Case {
  const name = basename(path).replace(/\.\w+$/, '');
  const isFolder = statSync(path).isDirectory();
  const files = isFolder ? readdirSync(path).toSorted() : [];
  const isMain = (file: string) => file.replace(/\.\w+$/, '') === name;
  const sources = isFolder
    ? [...files.filter(isMain), ...files.filter((file) => !isMain(file))].map((file) => join(path, file))
    : [path];
  const text = readFileSync(sources[0]!, 'utf8');
  const found: Case = {
    name,
    about: '',
    sources: sources.filter((file) => /\.(c|cc|S)$/.test(file)),
    before: '',
    variants: [],
    flags: [],
    link: [],
    only: [],
    needs: [],
  };
  for (const line of text.split('\n')) {
    if (!line.startsWith('//')) break;
    readLine(found, line.slice(2).trim());
  }
  if (found.before === '' || found.variants.length === 0) {
    throw new Error(`${path}: the lines "// before:" and "// after:" are missing`);
  }
  return found;
}

const DIRECTIVE = /^(before|after|flags|link|only|needs)\b([^:]*):\s*(.*)$/;

function readLine(found: Case, line: string): void {
  const [, key, parameters, value] = DIRECTIVE.exec(line) ?? [];
  if (key === undefined) found.about += `${found.about ? ' ' : ''}${line}`;
  else if (key === 'before') found.before = quoted(value!);
  else if (key === 'after') addVariant(found, parameters!, value!);
  else found[key as 'flags' | 'link' | 'only' | 'needs'] = value!.split(/\s+/);
}

/** `-DTHIS --accept enumerators [clang -O0]`. */
function addVariant(found: Case, parameters: string, value: string): void {
  const builds = (/\[(.*)\]/.exec(parameters)?.[1] ?? '').split(/\s+/).filter(Boolean);
  const words = parameters
    .replace(/\[.*\]/, '')
    .split(/\s+/)
    .filter(Boolean);
  const macros = words.filter((word) => word.startsWith('-D'));
  const accept = words.filter((word) => !word.startsWith('-'));
  const key = [...macros, ...accept].join(' ');
  let variant = found.variants.find((other) => [...other.macros, ...other.accept].join(' ') === key);
  if (variant === undefined) {
    variant = { macros, accept, verdicts: [] };
    found.variants.push(variant);
  }
  variant.verdicts.push({ builds, verdict: readVerdict(value) });
}

/** `right "TEXT"`, `refused /PATTERN/`, or one or the other. */
function readVerdict(value: string): Verdict {
  const match = /^(?:right (".*"))?(?: or )?(?:refused \/(.*)\/)?$/.exec(value);
  if (match === null) throw new Error(`what verdict is "${value}"?`);
  const [, right, refused] = match;
  return {
    right: right && quoted(right),
    refused: refused === undefined ? undefined : new RegExp(refused),
  };
}

function quoted(value: string): string {
  const text = /^"(.*)"$/.exec(value)?.[1];
  if (text === undefined) throw new Error(`${value} is not in quotes`);
  return text;
}

/** Undefined when the variant is not for that build. */
export function verdictFor(variant: Variant, build: string): Verdict | undefined {
  const words = build.split(' ');
  return variant.verdicts.find(({ builds }) => builds.every((word) => words.includes(word)))?.verdict;
}
