import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkMachine,
  type MachineReport,
  PROBES,
  requireUsableMachine,
} from '../../src/cli/doctor/machine.js';
import { failure, ok, warning } from '../../src/cli/doctor/probe.js';
import { AtlasError } from '../../src/errors/atlas-error.js';
import { ordinaryUser } from '../harness/ordinary-user.js';
import { scoped } from '../harness/scope.js';

const check = (report: MachineReport, name: string) => report.checks.find((entry) => entry.check === name)!;

scoped(
  'doctor reports every check with a verdict, and advice where it is needed',
  { seconds: 30 },
  async (scope) => {
    const { status, stdout } = await scope.cli(['doctor', '--json']);
    const report = JSON.parse(stdout) as MachineReport;
    assert.deepEqual(
      report.checks.map((entry) => entry.check),
      PROBES.map((probe) => probe.name),
    );
    for (const { check: name, verdict, found, advice } of report.checks) {
      assert.match(verdict, /^(ok|warning|failure)$/);
      assert.notEqual(found, '', name);
      assert.equal(advice === '', verdict === 'ok', `${name}: "${advice}"`);
    }
    assert.equal(report.usable, !report.checks.some(({ verdict }) => verdict === 'failure'));
    assert.equal(status, report.usable ? 0 : 8);
    const text = (await scope.cli(['doctor'])).stdout;
    for (const { name } of PROBES) assert.ok(text.includes(`${name} `), name);
  },
);

scoped(
  'an unusable directory for sockets is a failure: 8 from doctor, 125 from run',
  { seconds: 30 },
  async (scope) => {
    const env = { ATLAS_RUNTIME_DIR: scope.folder };
    const { status, stdout } = await scope.cli(['doctor', '--json'], { env });
    assert.equal(status, 8);
    const found = check(JSON.parse(stdout) as MachineReport, 'control-sockets');
    assert.equal(found.verdict, 'failure');
    const refused = await scope.cli(['run', '--', 'true'], { env });
    assert.equal(refused.status, 125);
    assert.ok(refused.stderr.includes(found.advice), refused.stderr);
  },
);

scoped(
  'an ordinary user is told about set-user-ID programs',
  { seconds: 60, user: ordinaryUser },
  async (scope, user) => {
    const report = await scope.json<MachineReport>(['doctor'], { user });
    assert.equal(check(report, 'set-user-id').verdict, 'warning');
  },
);

scoped('a missing compiler is a warning', { seconds: 30 }, async (scope) => {
  const report = await scope.json<MachineReport>(['doctor'], { env: { PATH: '/nonexistent' } });
  assert.equal(check(report, 'gcc').verdict, 'warning');
  assert.equal(report.usable, true);
});

test('a failing check makes the machine unusable, a warning does not', () => {
  const healthy = { name: 'a', check: () => ok('fine') };
  const doubtful = { name: 'b', check: () => warning('odd', 'Look at b.') };
  const broken = { name: 'c', check: () => failure('gone', 'Repair c.') };
  requireUsableMachine(checkMachine([healthy, doubtful]));
  assert.throws(
    () => requireUsableMachine(checkMachine([healthy, broken, doubtful])),
    (error) =>
      error instanceof AtlasError &&
      error.kind === 'unsupported-machine' &&
      error.message.includes('c: gone') &&
      error.advice === 'Repair c.',
  );
});
