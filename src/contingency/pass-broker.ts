import { forgetOldest } from '../core/forget-oldest.js';

/**
 * The state of the broker, as one recovery pass finds it. Once it has failed, it is not used again in the pass: the
 * rest stays for the next one, instead of paying the same wait for every session.
 *
 * But there may be a session at which it fails every time, for instance one with a topic that it cannot write. Sessions
 * at which it has failed come last in the next passes, and failing at one of them again says nothing about the others.
 */
export interface PassBroker {
  isDownFor(sessionId: string): boolean;
  failedAt(sessionId: string): void;
  tookAllOf(sessionId: string): void;
  /** Whether it has failed in this pass, at any session. */
  readonly hasFailed: boolean;
}

/**
 * Sessions at which the broker failed the last time, in whichever pass: the longest ago first, so that each has its
 * turn.
 */
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
