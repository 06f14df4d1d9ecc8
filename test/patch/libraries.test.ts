import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isDefined, isGlobal, STT } from '../../src/elf/index.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { buildPatch, planPatch, readPatch } from '../../src/patch/index.js';
import { Workshop } from './compile.js';
import { HOST_PROGRAM } from './host-program.js';
import { LiveProgram } from './live-program.js';

/** What patched code does with libraries, each in a function of its own, and the result. */
const RIGHT: [body: string, result: number][] = [
  ['return a64l("1")', 4242],
  ['return both()', 4],
  ['int (*volatile f)(void) = both; return f()', 4],
  ['return versioned()', 2],
  ['return (int)(cbrt(two * 4) * 100)', 200],
  ['double (*volatile f)(double) = cbrt; return (int)(f(two * 4) * 100)', 200],
  ['int (*volatile f)(void) = versioned; return f != versioned', 0],
  ['return optind++ == 1 && optind-- == 2 ? opterr += 4 : 0', 5],
  ['return opterr * 10 + (optind == 1)', 51],
  ['extern char **environ; return &environ == &__environ ? 7 : 8', 7],
  ['errno = 5; int kept = errno; errno = 0; return kept', 5],
  ['return stdin != 0 && fileno(stdin) == 0 && fileno(stderr) == 2 ? 9 : 0', 9],
  [
    'char *volatile text = "x"; optarg = text; static char **volatile where = &optarg; return **where == 120',
    1,
  ],
];

const PRELUDE = `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <errno.h>
#include <math.h>
int only_first(void), both(void), versioned(void), opened(void);
extern char **__environ;
volatile double two = 2;
`;
const program = (bodies: readonly string[], more = '') => `${PRELUDE} ${more}
${bodies.map((body, index) => `__attribute__((noinline)) int f${index}(void) { ${body}; }`).join('\n')}
void report(void) {
  ${bodies.map((_, index) => `printf("%d ", f${index}());`).join(' ')}
  printf("%d %d", only_first(), (__environ != 0) + (int)sqrt(two));
}`;
const OLD = RIGHT.map((_, index) => `__asm__ volatile(""); return ${-1 - index}`);

/** The host program with three libraries: one it needs, one with two versions of a name, one that it opens itself. */
class Linked implements Disposable {
  readonly workshop = new Workshop();
  readonly program: string;
  readonly old: string;
  readonly preload: string;

  constructor(readonly flags: readonly string[]) {
    const { workshop } = this;
    this.#library('first', 'int only_first(void) { return 1; } int both(void) { return 1; }');
    const versions = workshop.write('versions', 'V1 { global: versioned; local: *; }; V2 { } V1;');
    this.#library(
      'second',
      `int before(void) { return 1; } int after(void) { return 2; } int both(void) { return 2; }
       __asm__(".symver before,versioned@V1"); __asm__(".symver after,versioned@@V2");`,
      [`-Wl,--version-script=${versions}`],
    );
    this.#library('opened', 'int opened(void) { return 3; }');
    this.preload = this.#library(
      'preload',
      'long a64l(const char *s) { return 4242; } int both(void) { return 4; }',
    );
    this.old = workshop.object('old', program(OLD), [...flags, '-fno-builtin']);
    const open = `__attribute__((constructor)) static void o(void) { dlopen("${workshop.path('libopened.so')}", 2); }`;
    const main = workshop.object('main', `${HOST_PROGRAM} ${open}`, flags);
    this.program = workshop.link(
      'program',
      [main, this.old],
      [
        ...flags.filter((flag) => /pie/.test(flag)),
        '-Wl,--no-as-needed',
        `-L${workshop.folder}`,
        `-Wl,-rpath,${workshop.folder}`,
        '-lfirst',
        '-lsecond',
        '-lm',
        '-Wl,-z,lazy',
      ],
    );
  }

  patch(bodies: readonly string[], more?: string): Uint8Array {
    const flags = [...this.flags, '-fno-builtin'];
    return buildPatch({ old: this.old, new: this.workshop.object('new', program(bodies, more), flags) })
      .bytes;
  }

  start(): Promise<LiveProgram> {
    return LiveProgram.start(this.workshop, this.program, this.preload);
  }

  #library(name: string, source: string, flags: readonly string[] = []): string {
    const object = this.workshop.object(`lib-${name}`, source, ['-O1', '-fPIC']);
    return this.workshop.link(`lib${name}.so`, [object], ['-shared', `-Wl,-soname,lib${name}.so`, ...flags]);
  }

  [Symbol.dispose](): void {
    this.workshop[Symbol.dispose]();
  }
}

const KINDS: [kind: string, flags: string[]][] = [
  ['position-independent', ['-O2', '-fPIE', '-pie']],
  ['fixed', ['-O2', '-fno-pie', '-no-pie']],
];

for (const [kind, flags] of KINDS) {
  describe(`a ${kind} program`, () => {
    let linked: Linked;
    before(() => {
      linked = new Linked(flags);
    });
    after(() => linked[Symbol.dispose]());

    test('every name is what the dynamic linker says, or said to be unusable', async () => {
      using live = await linked.start();
      const { libraries } = live.target();
      const different: string[] = [];
      let compared = 0;
      for (const { elf, name: file } of live.modules.slice(1)) {
        if (elf === undefined || !/(libc|libm|libsecond|libpreload)\.so/.test(file)) continue;
        const names = elf.dynamicSymbols
          .filter((symbol) => isDefined(symbol) && isGlobal(symbol) && symbol.type !== STT.TLS)
          .filter((symbol) => elf.versionOf(symbol)?.isDefault)
          .map(({ name }) => name);
        for (const name of new Set(names)) {
          const found = libraries.resolve(name);
          if (found?.kind !== 'address') continue;
          compared++;
          const expected = await live.symbol(name);
          if (found.address !== expected) different.push(`${name}: ${found.address} instead of ${expected}`);
        }
      }
      assert.deepEqual(different, []);
      assert.ok(compared > 2000, `${compared}`);
    });

    test('patched code gets what the dynamic linker would give it', async () => {
      using live = await linked.start();
      const line = (results: readonly number[]) => `${results.join(' ')} 1 2`;
      assert.equal(await live.run(), line(OLD.map((_, index) => -1 - index)));
      await live.apply(linked.patch(RIGHT.map(([body]) => body)));
      assert.equal(await live.run(), line(RIGHT.map(([, result]) => result)));
      assert.equal(await live.end(), 0);
    });

    test('what it would not find is refused, and so is what libraries would have to find', async () => {
      using live = await linked.start();
      const plan = (body: string, more?: string) =>
        planPatch(readPatch(linked.patch(OLD.with(0, body), more), 'p'), live.target());
      const opened =
        /opened: missing symbol: only .*libopened\.so defines it, which the program loaded itself/;
      assert.throws(() => plan('return opened()'), refusedFor(opened));
      const nowhere = /nowhere: missing symbol: the running program does not define it/;
      assert.throws(() => plan('return nowhere()'), refusedFor(nowhere));
      const chosen =
        /floor: missing symbol: .*libm\.so.* chooses its code at the first call, which nobody has made yet/;
      assert.throws(() => plan('return (int)floor(two)'), refusedFor(chosen));
      const allocator = 'void *malloc(size_t size) { return 0; }';
      const used = /malloc: the library .*libc\.so.* would have to use the new one/;
      assert.throws(() => plan('return malloc(1) == 0', allocator), refusedFor(used));
      // Only the program itself calls that one.
      plan('return both()', 'int both(void) { return 5; }');
    });
  });
}

function refusedFor(reason: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof AtlasError, String(error));
    assert.equal(error.kind, 'refused');
    assert.match(error.message, reason);
    return true;
  };
}
