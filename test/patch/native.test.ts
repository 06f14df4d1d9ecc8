import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildPatch } from '../../src/patch/index.js';
import { Workshop } from './compile.js';
import { HOST_PROGRAM } from './host-program.js';
import { LiveProgram } from './live-program.js';

const PRELUDE = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <ctype.h>
#define NOINLINE __attribute__((noinline))
int total = 7;
const char *greeting = "hello";
static __thread int per_thread = 40;
__thread int shared_thread = 5;
static int hidden = 100;
`;

const FIRST = `${PRELUDE}
static NOINLINE int counter(int step) { static int n = 10; n += step; return n; }
static NOINLINE int other(int step) { static int n = 1000; n += step; return n; }
NOINLINE int pick(int i) {
  switch (i) {
    case 0: return 3; case 1: return hidden; case 2: return 17; case 3: return total;
    case 4: return counter(1); case 5: return 2; default: return -1;
  }
}
NOINLINE double scale(int i) { return i * 1.5; }
NOINLINE int thread_value(void) { shared_thread++; return per_thread++ + shared_thread; }
NOINLINE const char *text(int i) { return i ? "one" : "zero"; }
int (*pointer)(int) = pick;
NOINLINE int same_pointer(void) { return pointer == pick; }
static __attribute__((noinline, cold)) void unusual(int x) { total += x; }
NOINLINE int risky(int x) { if (__builtin_expect(x > 50, 0)) { unusual(500); unusual(500); return abs(x); } return x + 1; }
void report(void) {
  for (int i = -1; i < 7; i++) printf("%d,", pick(i));
  printf("%.2f %d %s %s %d %d %d %d %d %s", scale(3), thread_value(), text(0), text(1), other(1), same_pointer(),
         risky(60), risky(1), pointer(0), greeting);
}
`;

/** Changes of every sort: code, literals, tables, constants, calls of new library functions, new statics. */
const SECOND = `${PRELUDE}
struct pair { const char *name; int (*f)(int); };
static NOINLINE int fresh(int x);
static int table_of_two[2] = {11, 22};
static const struct pair pairs[] = {{"first", fresh}, {"second", abs}};
static int zeroed[64];
static NOINLINE int counter(int step) { static int n = 10; static int calls; n += step * 2; return n + ++calls; }
static NOINLINE int other(int step) { static int n = 1000; n += step; return n; }
static NOINLINE int fresh(int x) { zeroed[x & 63]++; return x * 10 + table_of_two[x & 1] + zeroed[x & 63]; }
NOINLINE int pick(int i) {
  switch (i) {
    case 0: return 4; case 1: return hidden + 1; case 2: return strlen(greeting) + 18; case 3: return total;
    case 4: return counter(1); case 5: return fresh(2); case 6: return toupper('a' + i);
    case 7: return atoi("77"); default: return -2;
  }
}
NOINLINE double scale(int i) { return i * 2.25; }
NOINLINE int thread_value(void) { shared_thread += 2; errno = 0; return per_thread++ + shared_thread * 100 + errno; }
NOINLINE const char *text(int i) { return i ? "uno" : pairs[total & 1].name; }
int (*pointer)(int) = pick;
NOINLINE int same_pointer(void) { int (*volatile mine)(int) = pick; return pointer == mine ? 2 : 3; }
static __attribute__((noinline, cold)) void unusual(int x) { total += x; }
NOINLINE int risky(int x) { if (__builtin_expect(x > 50, 0)) { unusual(1500); unusual(500); return abs(x) + 1; } return x + 2; }
void report(void) {
  for (int i = -1; i < 7; i++) printf("%d,", pick(i));
  printf("%.2f %d %s %s %d %d %d %d %d %s", scale(3), thread_value(), text(0), text(1), other(1), same_pointer(),
         risky(60), risky(1), pointer(0), greeting);
}
`;

/** On top of the second: replaces a replaced function, an added one, and uses statics that were added. */
const THIRD = SECOND.replace('return x * 10 +', 'return x * 20 +')
  .replace('step * 2', 'step * 4')
  .replace('i * 2.25', 'i * 4.0')
  .replace('"uno"', '"un"');

const BEFORE = '-1,3,100,17,7,11,2,-1,4.50 46 zero one 1001 1 60 2 3 hello';
/** The state of the first run stays: counter at 11, total at 1007, thread values, other at 1001. */
const AFTER = '-2,4,101,23,1007,14,32,71,6.75 841 second uno 1002 2 61 3 4 hello';
/** counter: 13+4, third call of `calls`' life is its second here; fresh(2): 40+11+2. */
const AFTER_THIRD = '-2,4,101,23,3007,19,53,71,12.00 1042 second un 1003 2 61 3 4 hello';

const BUILDS: [name: string, compile: string[], link: string[]][] = [];
for (const level of ['-O0', '-O2', '-Os', '-O3']) {
  BUILDS.push([`${level} PIE`, [level, '-fPIE'], ['-pie']]);
  BUILDS.push([`${level} non-PIE`, [level, '-fno-pie'], ['-no-pie']]);
}
BUILDS.push(['-O2 -fPIC', ['-O2', '-fPIC'], ['-pie']]);
BUILDS.push(['-O2 -fPIC -fno-plt', ['-O2', '-fPIC', '-fno-plt'], ['-pie']]);
BUILDS.push(['-O2 -fPIC, TLS descriptors', ['-O2', '-fPIC', '-mtls-dialect=gnu2'], ['-pie']]);
BUILDS.push(['-O2 -fPIC, local dynamic TLS', ['-O2', '-fPIC', '-ftls-model=local-dynamic'], ['-pie']]);
BUILDS.push(['-O2 -fPIC, initial exec TLS', ['-O2', '-fPIC', '-ftls-model=initial-exec'], ['-pie']]);
BUILDS.push(['-O2 with endbr64 entries', ['-O2', '-fcf-protection=full'], ['-pie']]);
BUILDS.push(['-O2 static', ['-O2', '-fno-pie', '-DLINK_LIBRARY_FUNCTIONS'], ['-static']]);
BUILDS.push(['-O1 with debug info, bound at start', ['-O1', '-g', '-fPIE'], ['-pie', '-Wl,-z,now']]);

describe('patched code runs', () => {
  for (const [name, compile, link] of BUILDS) {
    test(name, async () => {
      using workshop = new Workshop();
      const old = workshop.object('v1', FIRST, compile);
      const fresh = workshop.object('v2', SECOND, compile);
      const third = workshop.object('v3', THIRD, compile);
      const host = workshop.object('host', HOST_PROGRAM, compile);
      const executable = workshop.link('program', [host, old], link);
      using program = await LiveProgram.start(workshop, executable);

      assert.equal(await program.run(), BEFORE);
      const { bytes } = buildPatch({ old, new: fresh, target: executable });
      await program.apply(bytes);
      assert.equal(await program.run(), AFTER);
      await program.apply(buildPatch({ old: fresh, new: third }).bytes);
      assert.equal(await program.run(), AFTER_THIRD);
      assert.equal(await program.end(), 0);
    });
  }
});
