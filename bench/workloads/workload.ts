import { isInstalled } from '../../examples/build/command.js';
import type { BenchContext, Server } from '../context.js';

/** Something whose throughput can be measured natively and under Atlas. */
export interface Workload {
  name: string;
  /** Pairs and seconds a sample in a full run. */
  pairs: number;
  seconds: number;
  /** What is not installed, with the way to get it; undefined when all is there. */
  missing(): Promise<string | undefined>;
  /** Starts it (if it is a server) and answers how to measure: operations a second, by kind of operation. */
  prepare(
    context: BenchContext,
    underAtlas: boolean,
  ): Promise<{ run(seconds: number): Promise<Record<string, number>>; server?: Server }>;
}

/** For `missing`: the commands that a workload needs, and Debian's packages that bring them. */
export async function missingCommands(commands: string[], packages: string): Promise<string | undefined> {
  const missing: string[] = [];
  for (const command of commands) if (!(await isInstalled(command))) missing.push(command);
  return missing.length === 0
    ? undefined
    : `${missing.join(', ')} not found; \`apt-get install ${packages}\``;
}
