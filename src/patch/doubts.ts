/**
 * What the comparison of two builds cannot prove to be harmless. Each kind refuses the patch unless the user vouches
 * for it; then the patch carries a warning instead.
 */
export const DOUBT_KINDS = ['types', 'layouts', 'enumerators', 'state', 'functions', 'labels'] as const;

export type DoubtKind = (typeof DOUBT_KINDS)[number];

export interface Doubt {
  kind: DoubtKind;
  /** The variable, type or function that it is about. */
  symbol: string;
  text: string;
}

/** What the user says with `--accept`. */
export const VOUCHED: Readonly<Record<DoubtKind, string>> = {
  types: 'values of variables mean the same in their new types',
  layouts: 'no object of the old layout is used by the new code',
  enumerators: 'no stored value is taken for another enumerator',
  state: 'the new variable may start with its initial value',
  functions: 'whoever kept the address of an old function may go on with what the text says',
  labels: 'no address of a label was kept',
};
