import { EventSessionsError, type FailureOutcome } from '../../core/errors.js';
import type { BatchPlace } from '../recent-failures.js';
import type { NsqRequest } from './encode-requests.js';

/** One call of `publish` on its way. */
export interface PublishCall extends BatchPlace {
  /** Not handed over yet, in order. */
  readonly requests: NsqRequest[];
  /** Handed over and neither acknowledged nor lost. */
  inFlight: number;
  acknowledged: number;
  /** The worst that became of a request of it, once one was lost. */
  lost: { outcome: FailureOutcome; cause: Error } | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  deadline: NodeJS.Timeout | undefined;
  /** Of `performance.now()`: what waits until then is not handed over any more, though its timer may come later. */
  readonly dueAt: number;
}

const ADVICE: Readonly<Record<FailureOutcome, string>> = {
  not_done: 'Nothing was published; it is safe to publish the batch again.',
  unknown: 'All or part of it may have been published: publish the batch again, under the same event ids.',
  refused: 'Publishing the batch again would be refused again.',
};

/** What became of the whole call. */
function outcomeOf(call: PublishCall, outcome: FailureOutcome): FailureOutcome {
  const certain = call.acknowledged === 0 && call.inFlight === 0;
  return outcome === 'not_done' && !certain ? 'unknown' : outcome;
}

export function recordLoss(call: PublishCall, outcome: FailureOutcome, cause: Error): void {
  const worst = [call.lost?.outcome, outcome];
  const overall = worst.includes('refused') ? 'refused' : worst.includes('unknown') ? 'unknown' : 'not_done';
  call.lost = { outcome: overall, cause: call.lost?.cause ?? cause };
}

/** Why the call fails, when what it had handed over by now ends as `outcome`. */
export function failure(
  call: PublishCall,
  reason: string,
  ending: FailureOutcome,
  cause?: unknown,
): EventSessionsError {
  const { sessionId, topic } = call;
  const outcome = outcomeOf(call, ending);
  const message = `Could not publish to topic ${topic}: ${reason}. ${ADVICE[outcome]}`;
  return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, topic, outcome }, cause);
}
