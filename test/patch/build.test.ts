import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as zlib from 'node:zlib';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { buildPatch, inspectPatch } from '../../src/patch/index.js';
import { Workshop } from './compile.js';

function build(first: string, second: string, flags?: readonly string[]) {
  using workshop = new Workshop();
  const old = workshop.object('old', first, flags);
  return buildPatch({ old, new: workshop.object('new', second, flags), name: 'test' });
}

const replacedNames = (first: string, second: string, flags?: readonly string[]) =>
  build(first, second, flags).report.replaced.map(({ symbol }) => symbol);

function failure(kind: AtlasError['kind'], pattern: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof AtlasError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, pattern);
    return true;
  };
}

const BODY = 'int f(int x) { return x * 3 + 1; }';

describe('what is replaced', () => {
  test('only the functions whose code differs', () => {
    const first = `${BODY} int g(int x) { return f(x) - 5; }`;
    assert.deepEqual(replacedNames(first, first.replace('- 5', '- 6')), ['g']);
  });

  test('nothing, when the source differs but the code does not', () => {
    assert.throws(
      () => build(BODY, `/* a comment */\n${BODY}`),
      failure('nothing-to-do', /no function differs/),
    );
  });

  test('a function whose string changed, and not one whose string only moved', () => {
    const first = 'int puts(const char *); void a(void) { puts("same"); } void b(void) { puts("old"); }';
    const second = first
      .replace('"old"', '"brand new"')
      .replace('void a', 'void c(void) { puts("c"); } void a');
    for (const level of ['-O0', '-O2', '-Os']) {
      const { report } = build(first, second, [level]);
      assert.deepEqual(
        report.replaced.map(({ symbol }) => symbol),
        ['b'],
        level,
      );
      assert.deepEqual(
        report.added.map(({ symbol }) => symbol),
        ['c'],
        level,
      );
    }
  });

  test('an embedded NUL does not hide a changed tail', () => {
    const tail = 'abcdefghijklmnopqrstuvwxyz'.repeat(4);
    const first = `void *memcpy(void *, const void *, unsigned long);
      void f(char *p) { memcpy(p, "ab\\0${tail}", 100); } void g(char *p) { memcpy(p, "zz", 3); }`;
    for (const level of ['-O0', '-O2']) {
      assert.deepEqual(replacedNames(first, first.replace('defg', 'defG'), [level]), ['f'], level);
    }
  });

  test('a function with its cold part, and the cold part with its function', () => {
    const first =
      '__attribute__((cold)) void g(int); int f(int x) { if (x > 9) { g(1); g(x); } return x + 1; }';
    const { bytes, report } = build(first, first.replace('g(1)', 'g(2)'));
    assert.deepEqual(
      report.replaced.map(({ symbol }) => symbol),
      ['f'],
    );
    assert.equal(inspectPatch(bytes, 'p').replaced[0]!.parts, 2);
  });

  test('a jump table belongs to its function', () => {
    const cases = (n: number) =>
      `int g(int), h(int), k(int); int f(int x) { switch (x) { case 0: return g(1); case 1: return h(2); case 2: return k(3); case 3: return ${n}; case 4: return g(9); case 5: return h(7); } return 0; }`;
    for (const level of ['-O0', '-O2']) assert.deepEqual(replacedNames(cases(1), cases(2), [level]), ['f']);
  });

  test('a static variable renumbered by a new one of its name keeps its identity', () => {
    const first =
      'int f(int x) { static int n = 1; return n += x; } int g(int x) { static int n = 2; return n -= x; }';
    const second = `int added(int x) { static int n = 5; return n ^= x; } ${first.replace('n -= x', 'n -= x + 1')}`;
    const { bytes, report } = build(first, second);
    assert.deepEqual(
      report.replaced.map(({ symbol }) => symbol),
      ['g'],
    );
    assert.deepEqual(report.added.map(({ kind }) => kind).sort(), ['data', 'function']);
    const needs = inspectPatch(bytes, 'p').needs.filter((name) => name.startsWith('subject.c:n.'));
    assert.equal(needs.length, 1);
  });

  test('a global that moves to another file stays the same function', () => {
    using workshop = new Workshop();
    for (const folder of ['old', 'new']) mkdirSync(workshop.path(folder));
    workshop.object('old/a', 'int f(int x) { return x / 7; } int a(void) { return 1; }');
    workshop.object('old/b', 'int b(void) { return 2; }');
    workshop.object('new/a', 'int a(void) { return 1; }');
    workshop.object('new/b', 'int f(int x) { return x / 9; } int b(void) { return 2; }');
    const { report } = buildPatch({ old: workshop.path('old'), new: workshop.path('new') });
    assert.deepEqual(
      report.replaced.map(({ symbol }) => symbol),
      ['f'],
    );
    assert.deepEqual(report.removed, []);
  });

  test('a function of equal code that handles other exceptions, and its destructors', () => {
    const first = `void g(); struct one { ~one(); }; struct two { ~two(); };
      int f() { try { g(); } catch (int) { return 1; } return 0; }
      int h(int x) { g(); return x; }`;
    for (const flags of [
      ['-O2', '-xc++'],
      ['-O0', '-fPIC', '-xc++'],
    ]) {
      assert.deepEqual(replacedNames(first, first.replace('catch (int)', 'catch (long)'), flags), ['_Z1fv']);
      assert.throws(() => build(first, `${first}\n`, flags), failure('nothing-to-do', /no function differs/));
    }
  });

  test('what a name meant before it was defined is replaced where it was meant', () => {
    const first = `int hook(void) __attribute__((weak)); int f(void) { return hook ? hook() : 1; }
      long labs(long); long g(long x) { return labs(x); } int h(int x) { return x; }`;
    const second = `${first} int hook(void) { return 2; } long labs(long x) { return x + 1; }`;
    const flags = ['-O0', '-fno-builtin'];
    assert.deepEqual(replacedNames(first, second, flags), ['f', 'g']);
  });

  test('a C++ inline function in many files is replaced once', () => {
    using workshop = new Workshop();
    const source = (name: string, n: number) =>
      `template <class T> __attribute__((noinline)) T twice(T x) { return x * ${n} + 3; } int ${name}(int x) { return twice(x); }`;
    for (const [folder, n] of [
      ['old', 2],
      ['new', 4],
    ] as const) {
      mkdirSync(workshop.path(folder));
      for (const name of ['one', 'two'])
        workshop.object(`${folder}/${name}`, source(name, n), ['-O2', '-xc++']);
    }
    const { report } = buildPatch({ old: workshop.path('old'), new: workshop.path('new') });
    assert.deepEqual(
      report.replaced.map(({ symbol }) => symbol),
      ['_Z5twiceIiET_S0_'],
    );
  });
});

describe('what is refused', () => {
  const cases: [what: string, first: string, second: string, reason: RegExp][] = [
    [
      'an initial value',
      `int v = 1; ${BODY}`,
      `int v = 2; ${BODY.replace('3', '4')}`,
      /v: its initial value changed/,
    ],
    [
      'a constant table',
      `const int t[] = {1, 2}; ${BODY}`,
      `const int t[] = {1, 3}; ${BODY}`,
      /t: its initial value changed/,
    ],
    [
      'an initial pointer',
      `int f(int); int g(int); int (*p)(int) = f;`,
      `int f(int); int g(int); int (*p)(int) = g;`,
      /p: its initial value/,
    ],
    ['a size', `int v[4]; ${BODY}`, `int v[8]; ${BODY}`, /v: its size changed from 16 to 32/],
    ['bss to data', `int v; ${BODY}`, `int v = 3; ${BODY}`, /v: its initial value changed/],
    ['constness', `int v = 3; ${BODY}`, `const int v = 3; ${BODY}`, /v: changed from variable to constant/],
    [
      'a constructor added',
      BODY,
      `${BODY} int n; __attribute__((constructor)) void c(void) { n = 2; }`,
      /constructors \(\.init_array\)/,
    ],
    [
      'a constructor changed',
      `int n; __attribute__((constructor)) void c(void) { n = 4; }`,
      `int n; __attribute__((constructor)) void c(void) { n = 5; }`,
      /c: a constructor/,
    ],
    [
      'a destructor added',
      BODY,
      `${BODY} int n; __attribute__((destructor)) void d(void) { n = 2; }`,
      /\.fini_array/,
    ],
    [
      'a thread-local variable',
      BODY,
      `__thread int t; int f(int x) { return x + t; }`,
      /t: a new thread-local variable/,
    ],
    [
      'an indirect function',
      `${BODY} static void *r(void) { return f; } int i(int) __attribute__((ifunc("r")));`,
      `${BODY} static void *r(void) { return (char *)f + 0 * (long)&r + 1; } int i(int) __attribute__((ifunc("r")));`,
      /i: an indirect function/,
    ],
  ];
  for (const [what, first, second, reason] of cases) {
    test(what, () => assert.throws(() => build(first, second), failure('refused', reason)));
  }

  describe('a changed layout of a type, when there is debug information', () => {
    const user = (members: string, body = 'p->b + 1') =>
      `typedef struct { int x; } inner; enum e { A }; struct pair { ${members} };
       int f(struct pair *p) { return ${body}; }`;
    const plain = 'int a; int b; inner i; char t[4]; unsigned u : 3;';
    const changes: [what: string, members: string][] = [
      ['a member added', `long extra; ${plain}`],
      ['a member added at the end', `${plain} int z;`],
      ['members exchanged', 'int b; int a; inner i; char t[4]; unsigned u : 3;'],
      ['a member of another type', plain.replace('int a', 'float a')],
      ['a longer array', plain.replace('t[4]', 't[3]')],
      ['a wider bit-field', plain.replace('u : 3', 'u : 4')],
      ['an unnamed union within', plain.replace('int a;', 'union { int a; short c; };')],
    ];
    for (const [what, members] of changes) {
      for (const flags of [
        ['-O2', '-g'],
        ['-O2', '-gdwarf-4'],
      ]) {
        test(`${what} (${flags[1]})`, () => {
          const second = user(members, 'p->b + 2');
          assert.throws(
            () => build(user(plain), second, flags),
            failure('refused', /struct pair in subject\.c: its layout changed/),
          );
        });
      }
    }
    test('an inner type by its own name', () => {
      const second = user(plain, 'p->b + 2').replace('{ int x; }', '{ unsigned x; }');
      assert.throws(() => build(user(plain), second, ['-g']), failure('refused', /type inner in subject/));
    });
    test('C++ classes, with their namespaces and bases', () => {
      const first = `namespace n { struct base { int b; }; class c : base { static int s; public: int v; int f(); }; }
        int n::c::f() { return v + 1; }`;
      const flags = ['-O2', '-g', '-xc++'];
      const second = first.replace('v + 1', 'v + 2');
      assert.deepEqual(replacedNames(first, second, flags), ['_ZN1n1c1fEv']);
      const moved = second.replace('public:', 'public: short w;');
      assert.throws(() => build(first, moved, flags), failure('refused', /struct n::c in/));
    });
    test('not a type that stays, is new, or is local to a function', () => {
      const local = (type: string) => `({ struct temporary { ${type} v; } t = {p->b}; (int)t.v + 2; })`;
      const first = user(plain, local('int'));
      const second = `struct fresh { long l; }; ${user(plain, local('double'))} int g(struct fresh *q) { return q->l; }`;
      const { report } = build(first, second, ['-O2', '-g']);
      assert.deepEqual(
        report.verdicts.filter(({ verdict }) => verdict === 'warning'),
        [],
      );
    });
    test('without it, or with it in another file, the patch carries a warning', () => {
      for (const flags of [['-O2'], ['-O2', '-g', '-gsplit-dwarf']]) {
        const { report } = build(user(plain), user(plain, 'p->b + 2'), flags);
        assert.match(
          report.verdicts.find(({ verdict }) => verdict === 'warning')!.reason,
          /no debug information/,
        );
      }
    });
    test('in sections compressed with zstd: read, or refused where Node.js cannot', () => {
      using workshop = new Workshop();
      const make = (name: string, source: string) => {
        const object = workshop.object(name, source, ['-O2', '-g']);
        execFileSync('objcopy', ['--compress-debug-sections=zstd', object]);
        return object;
      };
      const old = make('old', user(plain));
      const fresh = make('new', user(plain.replace('int a', 'float a'), 'p->b + 2'));
      const canRead = 'zstdDecompressSync' in zlib;
      assert.throws(
        () => buildPatch({ old, new: fresh }),
        canRead
          ? failure('refused', /struct pair/)
          : failure('bad-input', /debug_\w+ is compressed in a way/),
      );
    });
    test('unless the user vouches for it: then the patch carries a warning', () => {
      using workshop = new Workshop();
      const old = workshop.object('old', user(plain), ['-g']);
      const fresh = workshop.object('new', user(plain.replace('t[4]', 't[3]'), 'p->b + 2'), ['-g']);
      assert.throws(
        () => buildPatch({ old, new: fresh, accept: ['types'] }),
        (error: AtlasError) => error.kind === 'refused' && /--accept layouts/.test(error.advice),
      );
      const { bytes } = buildPatch({ old, new: fresh, accept: ['layouts'] });
      const warnings = inspectPatch(bytes, 'p').verdicts.filter(({ verdict }) => verdict === 'warning');
      assert.deepEqual(
        warnings.map(({ symbol }) => symbol),
        ['struct pair'],
      );
      assert.match(warnings[0]!.reason, /accepted \(layouts\): struct pair in .*20 bytes are 16 now/);
    });
  });

  test('everything at once, each by name', () => {
    assert.throws(
      () => build('int a = 1; int b[2]; int c;', 'int a = 2; int b[3]; __thread int d; int c = 1;'),
      (error: AtlasError) => ['a', 'b', 'c', 'd'].every((name) => error.message.includes(`\n  ${name}: `)),
    );
  });

  test('functions that share a section', () => {
    const flags = ['-O2', '-fno-function-sections'];
    const first = `${BODY} int g(int x) { return x - 1; }`;
    assert.throws(
      () => build(first, first.replace('- 1', '- 2'), flags),
      failure('refused', /holds f, g together; compile with -ffunction-sections/),
    );
  });

  test('two statics of one name whose users were exchanged', () => {
    const first = 'int f(void) { static int n; return ++n; }';
    const second = 'int g(void) { static int n; return ++n; } int f(void) { return 1234567; }';
    assert.throws(() => build(first, second), failure('refused', /n\.0 in subject\.c: cannot tell/));
  });
});

describe('the file', () => {
  test('gives a new common variable room, and refers to an old one', () => {
    using workshop = new Workshop();
    const flags = ['-O2', '-fcommon'];
    const old = workshop.object('old', 'int before; int f(int x) { return x + before; }', flags);
    const fresh = workshop.object(
      'new',
      'int before, after[4]; int f(int x) { return before - after[x]++; }',
      flags,
    );
    const file = workshop.write('p.atlas', buildPatch({ old, new: fresh }).bytes);
    const symbols = execFileSync('nm', ['-S', file], { encoding: 'utf8' });
    assert.match(symbols, /^\s+U before$/m);
    assert.match(symbols, / 0{14}10 B after$/m);
  });

  test('is an ELF object that readelf reads without complaint', () => {
    using workshop = new Workshop();
    const first =
      'int puts(const char *); int v; static int w = 3; int f(int x) { puts("a"); return x + v + w++; }';
    const old = workshop.object('old', first);
    const fresh = workshop.object(
      'new',
      `static long fresh[9]; ${first.replace('"a"', '"b"').replace('x + v', 'x + v + fresh[x]++')}`,
    );
    const file = workshop.write('p.atlas', buildPatch({ old, new: fresh }).bytes);
    const complaints = spawnSync('readelf', ['-aW', file], { encoding: 'utf8' });
    assert.equal(complaints.status, 0);
    assert.equal(complaints.stderr, '');
    const symbols = execFileSync('nm', [file], { encoding: 'utf8' });
    assert.match(symbols, /^\s+U subject\.c:w$/m);
    assert.match(symbols, /^\s+U v$/m);
    assert.match(symbols, / T f$/m);
    assert.match(symbols, / b subject\.c:fresh$/m);
  });
});
