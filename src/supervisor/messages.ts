/** What crosses between the tracing thread and the control side. */
import type { FailureKind } from '../errors/atlas-error.js';
import type { Ending, OperationName, SupervisorEvent } from './protocol.js';

export interface PlainFailure {
  kind: FailureKind;
  message: string;
  advice: string;
  /** What `atlas run` exits with, where it is not the kind's own. */
  exitCode?: number;
}

export interface RequestMessage {
  type: 'request';
  id: number;
  operation: OperationName;
  parameters: unknown;
}

export type ToTracer = RequestMessage | { type: 'timer'; id: number };

export type FromTracer =
  | { type: 'started'; pid: number }
  | { type: 'failed'; error: PlainFailure; where?: string }
  | { type: 'root-ended'; ending: Ending }
  | { type: 'tree-ended' }
  | { type: 'set-timer'; id: number; milliseconds: number }
  | { type: 'event'; event: SupervisorEvent }
  | { type: 'reply'; id: number; result?: unknown; error?: PlainFailure };
