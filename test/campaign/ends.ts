import type { HistoryEntry } from './history.js';

/** Sessions whose rollback somebody has asked for, whatever came of it. */
export function rollbacksAskedFor(history: readonly HistoryEntry[]): Set<string> {
  return new Set(
    history.flatMap((entry) =>
      entry.kind === 'invoke' && entry.command === 'rollback' ? [entry.sessionId] : [],
    ),
  );
}

/** Sessions whose end was acknowledged, or has begun. */
export function endsPromised(history: readonly HistoryEntry[]): Set<string> {
  return new Set(
    history.flatMap((entry) => {
      if (entry.kind === 'committing') return [entry.sessionId];
      const isEnd = entry.kind === 'ok' && 'status' in entry.receipt && entry.receipt.status !== 'open';
      return isEnd ? [entry.receipt.sessionId] : [];
    }),
  );
}
