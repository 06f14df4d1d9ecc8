import { AtlasError } from '../../errors/atlas-error.js';
import { memoryLimit, taskLimit } from './control-group.js';
import { architecture, kernelVersion } from './kernel.js';
import { foreignFunctions, mapCount, memoryFiles, overcommit } from './memory.js';
import type { Finding, Probe } from './probe.js';
import { compiler, controlSockets, nodeVersion } from './software.js';
import { containerProfile, newPrivileges, ptraceScope, seccompActions } from './tracing.js';

/** In the order in which they are shown: what others depend on comes first. */
export const PROBES: readonly Probe[] = [
  kernelVersion,
  architecture,
  nodeVersion,
  foreignFunctions,
  ptraceScope,
  seccompActions,
  containerProfile,
  newPrivileges,
  memoryFiles,
  overcommit,
  mapCount,
  memoryLimit,
  taskLimit,
  controlSockets,
  compiler,
];

export interface MachineReport {
  /** Whether programs can run under Atlas here: no probe failed. */
  usable: boolean;
  checks: ({ check: string } & Finding)[];
}

export function checkMachine(probes: readonly Probe[] = PROBES): MachineReport {
  const checks = probes.map((probe) => ({ check: probe.name, ...probe.check() }));
  return { usable: checks.every(({ verdict }) => verdict !== 'failure'), checks };
}

/** @throws `unsupported-machine` with the doctor's words when something fails */
export function requireUsableMachine(report = checkMachine()): void {
  const failures = report.checks.filter(({ verdict }) => verdict === 'failure');
  if (failures.length === 0) return;
  throw new AtlasError(
    'unsupported-machine',
    `This machine cannot run programs under Atlas: ${failures.map((entry) => `${entry.check}: ${entry.found}`).join('; ')}.`,
    failures.map((entry) => entry.advice).join(' '),
  );
}
