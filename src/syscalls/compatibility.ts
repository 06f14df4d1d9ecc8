/** Renders the compatibility page from the system-call table. */
import { FAMILIES } from './table.js';
import type { ArgumentCondition, BaseTreatment, StubClass, Treatment } from './treatment.js';

const INTRODUCTION = `# System calls

What Atlas does with each x86-64 system call of Linux 6.18. This page is generated from the system-call table
(\`src/syscalls/\`): change that, then run \`npm run build && node dist/src/syscalls/write-compatibility.js\`.

A thread of a process that has never had a second generation lives in the *base*, and only the column "in the base"
concerns it:

| in the base | meaning |
| --- | --- |
| native | runs at native speed: the kernel allows it without asking anybody |
| mediated | stops for the supervisor, which rewrites, emulates or records it; with a condition on the arguments, only then |
| an errno | fails so, without being executed |

A thread that lives in a further generation executes its user code in a *stub task* of another host process. There
the column "in a further generation" says who executes the call:

| in a further generation | meaning |
| --- | --- |
| direct | the stub task itself, without a stop |
| home | the thread's home task, whose identity, signals and children are those of the thread |
| everywhere | the home task, then every other generation: it changes an address space or a process |
| both | the home task and the stub task: it changes the state of one task |
| path | the stub task, or the home task when the path depends on who asks (\`/proc/self\`, \`/dev/fd\` and such) |
| private futex | as a futex that all generations share; those with priority inheritance by the home task |
| refused | nobody: it fails as in the base |

Where a condition stands behind the word, the calls that do not meet it are direct. Numbers that Linux 6.18 does not
have are left to the kernel in the base, and fail with \`ENOSYS\` in a further generation. The i386 and x32 calls of a
64-bit program fail with \`ENOSYS\`.
`;

/** The errors that the table uses, by number. */
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  9: 'EBADF',
  22: 'EINVAL',

  38: 'ENOSYS',
};

export function renderCompatibilityPage(): string {
  const sections = FAMILIES.map(({ title, calls }) => renderFamily(title, Object.entries(calls)));
  return [INTRODUCTION, renderLimitations(), ...sections].join('\n');
}

function renderLimitations(): string {
  const rows: string[] = [];
  for (const { calls } of FAMILIES) {
    const callsByLimitation = new Map<string, string[]>();
    for (const [name, treatment] of Object.entries(calls)) {
      const limitation = limitationOf(treatment);
      if (limitation === undefined) continue;
      callsByLimitation.set(limitation, [...(callsByLimitation.get(limitation) ?? []), `\`${name}\``]);
    }
    for (const [limitation, names] of callsByLimitation) rows.push(`| ${names.join(', ')} | ${limitation} |`);
  }
  return ['## What a program can notice', '', '| call | difference |', '| --- | --- |', ...rows, ''].join(
    '\n',
  );
}

function limitationOf(treatment: Treatment): string | undefined {
  if (treatment.partial !== undefined) return treatment.partial;
  return treatment.stub === 'refused' ? `not available: ${treatment.reason}` : undefined;
}

function renderFamily(title: string, calls: [string, Treatment][]): string {
  const rows = calls.map(([name, treatment]) => {
    const { base, stub, stubWhen, reason } = treatment;
    return `| \`${name}\` | ${describeBase(base)} | ${describeStub(stub)}${describeCondition(stubWhen)} | ${reason} |`;
  });
  const head = ['| call | in the base | in a further generation | why |', '| --- | --- | --- | --- |'];
  return [`## ${title}`, '', ...head, ...rows, ''].join('\n');
}

function describeBase(base: BaseTreatment): string {
  switch (base.kind) {
    case 'native':
      return 'native';
    case 'trap':
      return `mediated${describeCondition(base.when)}`;
    case 'refuse':
      return `${ERRNO_NAMES[base.errno]}${describeCondition(base.when)}`;
  }
}

function describeStub(stub: StubClass): string {
  return stub === 'private-futex' ? 'private futex' : stub;
}

function describeCondition(condition: ArgumentCondition | undefined): string {
  return condition ? `: ${explain(condition)}` : '';
}

function explain(condition: ArgumentCondition): string {
  if (condition.test === 'anyOf') return condition.conditions.map(explain).join(', or ');
  const argument = `argument ${condition.argument + 1}`;
  switch (condition.test) {
    case 'nonNull':
      return `${argument} is not null`;
    case 'anySet':
      return `${argument} has ${hexadecimal(condition.mask)}`;
    case 'noneSet':
      return `${argument} lacks ${hexadecimal(condition.mask)}`;
    case 'oneOf': {
      const masked = condition.mask === undefined ? argument : `${argument} & ${hexadecimal(condition.mask)}`;
      return `${masked} is ${condition.values.map(decimalOrHexadecimal).join(', ')}`;
    }
    case 'noneOf':
      return `${argument} is none of ${condition.values.map(decimalOrHexadecimal).join(', ')}`;
    case 'storeDescriptor':
      return `${argument} is the store's descriptor`;
  }
}

const hexadecimal = (value: number): string => `0x${value.toString(16)}`;

/** Small numbers are enumerated in the kernel's headers in decimal, large ones in hexadecimal. */
function decimalOrHexadecimal(value: number): string {
  return value > 0xfff ? hexadecimal(value) : String(value);
}
