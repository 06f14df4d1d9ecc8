/** Runs the programs of this folder through their phases, natively, or under Atlas with moves between the phases. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AtlasClient } from '../../src/api/client.js';
import { compileC } from '../harness/compile.js';
import { PROJECT } from '../harness/paths.js';
import { Scope } from '../harness/scope.js';
import { type Comparison, compareTasks, stubProcesses } from './outside.js';

export const PROGRAMS = ['rights', 'credentials', 'namespaces', 'scheduling', 'tables', 'alone'] as const;
export type ProgramName = (typeof PROGRAMS)[number];
/** When the attributes are set: before the first move, in a further generation, at home between two moves. */
export const SETTINGS = [0, 1, 2] as const;

/** Where all threads are sent after each phase; the last phase is at home again. */
const DESTINATIONS = ['first', 'base', 'second', 'first', 'base'] as const;
/** The moves after which everything is set, and all tasks are looked at. */
const COMPARED: readonly number[] = [2, 3];
const MOVING_MILLISECONDS = 150;
const RUN = 'identity';

const output = (program: ProgramName, setting: number): string => `${program}-${setting}.out`;

/** A shell that starts them all, in namespaces of their own: what leaks stays inside. */
async function command(programs: readonly ProgramName[], folder: string): Promise<string[]> {
  const lines: string[] = [];
  for (const program of programs) {
    const executable = await compileC(join(PROJECT, 'test/identity', `${program}.c`));
    for (const setting of SETTINGS)
      lines.push(`${executable} ${setting} ${folder} > ${join(folder, output(program, setting))} 2>&1 &`);
  }
  return ['unshare', '--mount', '--uts', '--ipc', '--net', 'sh', '-c', `${lines.join('\n')}\nwait`];
}

/** What each program printed, by its name and its setting; `trouble` is what the client was told. */
export interface Phases {
  outputs: Map<string, string>;
  trouble: string[];
  /** Of homes and stubs, after each move to a further generation. */
  tasks: Comparison;
}

export async function runPhases(
  under: 'native' | 'atlas',
  programs: readonly ProgramName[],
): Promise<Phases> {
  const scope = await Scope.open(`identity, ${under}`, 100);
  const phases: Phases = {
    outputs: new Map(),
    trouble: [],
    tasks: { compared: 0, differences: new Map() },
  };
  try {
    const folder = join(scope.folder, 'phases');
    await mkdir(folder, { mode: 0o755 });
    const argv = await command(programs, folder);
    const started = await (under === 'atlas' ? scope.atlas(argv, { name: RUN }) : scope.native(argv));
    const read = async (): Promise<void> => {
      for (const program of programs) {
        for (const setting of SETTINGS) {
          const text = await readFile(join(folder, output(program, setting)), 'utf8').catch(() => '');
          phases.outputs.set(`${program} ${setting}`, text);
        }
      }
    };
    const mover = under === 'atlas' ? new Mover(scope, phases) : undefined;
    for (let phase = 0; phase <= DESTINATIONS.length && started.running; phase++) {
      await writeFile(join(folder, `phase-${phase}`), '');
      await over(phase, read, phases, () => started.running);
      await mover?.move(phase);
    }
    const { status, stderr } = await scope.within(20, started.outcome());
    if (status !== 0 || stderr !== '') phases.trouble.push(`exit status ${status}\n${stderr}`);
    await read();
    await scope.close();
  } catch (error) {
    phases.trouble.push((error as Error).message);
    await scope.abandon();
  }
  return phases;
}

/** Until every program that lives has said that the phase is over. */
async function over(
  phase: number,
  read: () => Promise<void>,
  { outputs }: Phases,
  running: () => boolean,
): Promise<void> {
  for (const deadline = Date.now() + 20_000; running(); await sleep(10)) {
    await read();
    const late = [...outputs].filter(
      ([, text]) => !text.includes(`phase ${phase} is over`) && !text.includes(' failed: '),
    );
    if (late.length === 0) return;
    if (Date.now() < deadline) continue;
    throw new Error(`phase ${phase} is not over in ${late.map(([name]) => name).join(', ')}`);
  }
}

/** Sends all threads of all processes from generation to generation. */
class Mover {
  #client: AtlasClient | undefined;
  readonly #generations = new Map<string, number>();

  constructor(
    readonly scope: Scope,
    readonly phases: Phases,
  ) {}

  async move(phase: number): Promise<void> {
    const destination = DESTINATIONS[phase];
    if (!destination) return;
    try {
      this.#client ??= await this.scope.client(RUN);
      const { processes } = await this.#client.request('ps', {});
      const moves = new Map<number, number[]>();
      for (const { pid, command: line } of processes) {
        const name = /\/(\w+) \d \//.exec(line)?.[1];
        if (!PROGRAMS.some((one) => one === name)) continue;
        const moved = await this.#moveProcess(this.#client, String(pid), destination);
        moves.set(pid, moved);
        // The first thread is like all others at that time.
        if (phase === 0 && name !== 'alone' && !moved.includes(pid))
          this.phases.trouble.push(`the first thread of ${line} was not moved`);
      }
      if (!COMPARED.includes(phase)) return;
      const stubs = await stubProcesses(new Set(processes.map(({ pid }) => pid)));
      for (const [pid, moved] of moves)
        await compareTasks(pid, moved, stubs.get(pid) ?? [], this.phases.tasks);
    } catch (error) {
      this.phases.trouble.push(`to ${destination}: ${(error as Error).message}`);
    }
  }

  async #moveProcess(client: AtlasClient, process: string, destination: string): Promise<number[]> {
    const place = `${process} ${destination}`;
    try {
      if (destination !== 'base' && !this.#generations.has(place))
        this.#generations.set(place, (await client.request('generation.create', { process })).generation);
      const to = this.#generations.get(place) ?? 0;
      const options = { process, to, timeoutMilliseconds: MOVING_MILLISECONDS };
      const { moved } = await client.request('migrate', options);
      return moved.map(({ tid }) => tid);
    } catch (error) {
      this.phases.trouble.push(`${place}: ${(error as Error).message}`);
      return [];
    }
  }
}
