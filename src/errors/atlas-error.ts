/**
 * What a failure is, as the user must tell failures apart. Each kind has one exit code, documented in
 * `docs/exit-codes.md` and in `atlas --help`.
 */
export type FailureKind =
  | 'nothing-to-do'
  | 'bad-usage'
  | 'bad-input'
  | 'no-such-process'
  | 'refused'
  | 'not-finished'
  | 'unsupported-machine'
  | 'internal';

/** The exit code of every kind of failure; 0 is "done". Stable: scripts depend on it. */
export const EXIT_CODE: Readonly<Record<FailureKind, number>> = {
  internal: 1,
  'bad-usage': 2,
  'nothing-to-do': 3,
  'bad-input': 4,
  'no-such-process': 5,
  refused: 6,
  'not-finished': 7,
  'unsupported-machine': 8,
};

/** The one error type of Atlas: what happened, to whom, and what the user can do about it. */
export class AtlasError extends Error {
  readonly kind: FailureKind;
  /** What the user can do; one sentence, or the empty string when there is nothing to do. */
  readonly advice: string;

  constructor(kind: FailureKind, message: string, advice = '', options?: ErrorOptions) {
    super(message, options);
    this.name = 'AtlasError';
    this.kind = kind;
    this.advice = advice;
  }

  toJSON(): { kind: FailureKind; message: string; advice: string } {
    return { kind: this.kind, message: this.message, advice: this.advice };
  }

  static from(value: unknown): AtlasError {
    if (value instanceof AtlasError) return value;
    const message = value instanceof Error ? (value.stack ?? value.message) : String(value);
    return new AtlasError('internal', message, 'This is a defect of Atlas: please report it.', {
      cause: value,
    });
  }
}
