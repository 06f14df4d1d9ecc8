/** What has to be undone, latest first, however the program ends. */
export class Cleanup {
  readonly #steps: (() => Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  constructor() {
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const)
      process.once(signal, () => void this.run().finally(() => process.exit(code)));
  }

  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  /** Every step runs once, also when one before it failed or when a signal comes in the middle. */
  run(): Promise<void> {
    this.#running ??= this.#undo();
    return this.#running;
  }

  async #undo(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop())
      await step().catch((error: unknown) => process.stderr.write(`while cleaning up: ${String(error)}\n`));
  }
}
