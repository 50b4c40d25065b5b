import { forgetOldest } from '../core/forget-oldest.js';

/**
 * The broker, as one pass finds it. When it has failed it is not asked again in the pass: the rest stays for the next one,
 * instead of paying the same wait for every session.
 *
 * But there may be a session at which it fails each time, one with a topic that it can't write for instance. Sessions at which
 * it has failed come last in the next passes, and when it fails at one of them again, that says nothing about the others.
 */
export interface PassBroker {
  isDownFor(sessionId: string): boolean;
  failedAt(sessionId: string): void;
  tookAllOf(sessionId: string): void;
  /** In this pass, at any session. */
  readonly hasFailed: boolean;
}

/** Sessions at which the broker has failed last, over all passes: the longest ago first, so that each has its turn. */
export type FailingSessions = ReadonlySet<string>;

const MAX_SESSIONS = 1_000;

export function passBroker(failing: Set<string>): PassBroker {
  let isDown = false;
  let hasFailedAgain = false;
  return {
    isDownFor: (sessionId) => isDown || (hasFailedAgain && failing.has(sessionId)),
    failedAt(sessionId) {
      if (failing.delete(sessionId)) hasFailedAgain = true;
      else isDown = true;
      failing.add(sessionId);
      forgetOldest(failing, MAX_SESSIONS);
    },
    tookAllOf(sessionId) {
      failing.delete(sessionId);
    },
    get hasFailed() {
      return isDown || hasFailedAgain;
    },
  };
}
