/** Whatever restricts or identifies one thread does so wherever the thread is, and no other thread. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing } from '../harness/programs.js';
import { assertSameLines } from '../harness/lines.js';
import { ATTRIBUTES, FIELDS_TO_COME } from './attributes.js';
import { FIELDS } from './outside.js';
import { type Phases, type ProgramName, PROGRAMS, runPhases, SETTINGS } from './phases.js';

const asRoot = process.getuid?.() === 0 ? false : 'only root can set most of it';
const skip = asRoot || (await missing('gcc', 'unshare'));

const MOMENT = ['before the first move', 'in a further generation', 'at home between two moves'];

const linesOf = (phases: Phases, program: string, setting: number, attribute: string): string =>
  (phases.outputs.get(`${program} ${setting}`) ?? '')
    .split('\n')
    .filter((line) => line.startsWith(`${attribute}, phase `) || line.startsWith(`${attribute}: `))
    .join('\n');

/** Programs whose threads disturb each other today, so that the run may even end. */
const APART: readonly ProgramName[] = ['credentials'];
const TO_COME = 'a stub does not have what its thread has';

function suite(title: string, programs: readonly ProgramName[], unfinished: string | false): void {
  describe(title, { skip }, () => {
    let native: Phases;
    let atlas: Phases;
    before(async () => {
      native = await runPhases('native', programs);
      atlas = await runPhases('atlas', programs);
    });
    after(() => {
      native.outputs.clear();
      atlas.outputs.clear();
    });

    it('the programs run natively', () => assert.deepEqual(native.trouble, []));
    it('the programs run under Atlas, and every request is answered', { todo: unfinished }, () =>
      assert.deepEqual(atlas.trouble, []),
    );

    for (const program of programs) {
      for (const [attribute, wrong] of Object.entries(ATTRIBUTES[program])) {
        for (const setting of SETTINGS) {
          const todo = unfinished || (wrong.includes(setting) ? TO_COME : false);
          it(`${program}: ${attribute}, set ${MOMENT[setting]}`, { todo }, () => {
            const expected = linesOf(native, program, setting, attribute);
            assert.notEqual(expected, '');
            assertSameLines(linesOf(atlas, program, setting, attribute), expected, '');
          });
        }
      }
    }

    it('the stubs of many threads were looked at', { todo: unfinished }, () =>
      assert.ok(atlas.tasks.compared > 20 * programs.length),
    );
    for (const field of FIELDS) {
      const todo = unfinished || (FIELDS_TO_COME.has(field) ? TO_COME : false);
      it(`of home and stub, ${field}`, { todo }, () =>
        assert.deepEqual(atlas.tasks.differences.get(field) ?? [], []),
      );
    }
  });
}

const together = PROGRAMS.filter((program) => !APART.includes(program));
suite('what belongs to one thread', together, false);
suite('credentials of one thread', APART, 'a change by one thread reaches the stubs of others');
