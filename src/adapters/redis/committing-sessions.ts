/**
 * What is known of the sessions that are being committed by this process: the bytes of their largest event. Their
 * lists no longer change, so whoever knows this can tell without a script that a page will not be too large.
 *
 * Only a hint: of the sessions of the past that nobody has taken off, the oldest are forgotten.
 */
export interface CommittingSessions {
  begun(sessionId: string, largestBytes: number): void;
  largestOf(sessionId: string): number | undefined;
  ended(sessionId: string): void;
}

const MAX_SESSIONS = 10_000;

export function committingSessions(): CommittingSessions {
  const largest = new Map<string, number>();
  return {
    begun(sessionId, largestBytes) {
      largest.delete(sessionId);
      largest.set(sessionId, largestBytes);
      if (largest.size <= MAX_SESSIONS) return;
      for (const oldest of largest.keys()) {
        largest.delete(oldest);
        break;
      }
    },
    largestOf: (sessionId) => largest.get(sessionId),
    ended: (sessionId) => {
      largest.delete(sessionId);
    },
  };
}
