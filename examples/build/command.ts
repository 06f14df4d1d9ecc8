import { type ChildProcess, spawn } from 'node:child_process';
import { AtlasError } from '../../src/errors/atlas-error.js';

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** After so long the command is killed; default a minute. */
  timeoutMilliseconds?: number;
}

const running = new Set<ChildProcess>();
// However this process ends (short of SIGKILL), it leaves no command behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs a command to its end without a shell. A command that cannot be started at all answers code 127. */
export function run(argv: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    // Not spawn's own `timeout`: its timer keeps the event loop alive when the command could not be started.
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMilliseconds ?? 60_000);
    const stdout: string[] = [];
    const stderr: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text));
    child.on('error', (error) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code: 127, stdout: '', stderr: error.message });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (signal !== null) stderr.push(`ended by ${signal} (too slow, if nobody else sent it)\n`);
      resolve({ code: code ?? 128, stdout: stdout.join(''), stderr: stderr.join('') });
    });
  });
}

/** Runs a command that has to succeed; its last lines are in the error when it does not. */
export async function mustRun(argv: string[], options: CommandOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code === 0) return result.stdout;
  const tail = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-15).join('\n');
  throw new AtlasError('internal', `\`${argv.join(' ')}\` failed with code ${result.code}:\n${tail}`);
}

export async function isInstalled(command: string): Promise<boolean> {
  return (await run([command, '--version'])).code !== 127;
}
