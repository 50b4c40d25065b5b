import type { SessionRepository } from '../contingency/session-repository.js';
import type { Metrics, MetricsSnapshot } from '../core/metrics.js';
import type { ContingencyLog } from '../ports/contingency-log.js';

/**
 * What can't be asked is undefined in the snapshot.
 *
 * @throws `CLOSED`, and nothing else
 */
export type GetMetrics = () => Promise<MetricsSnapshot>;

export interface GetMetricsContext {
  readonly repository: SessionRepository;
  readonly log: ContingencyLog | undefined;
  readonly metrics: Metrics;
}

export function createGetMetrics({ repository, log, metrics }: GetMetricsContext): GetMetrics {
  return async () => {
    const [active, contingency] = await Promise.all([
      orUndefined(async () => repository.ask(undefined, (store) => store.countActive())),
      orUndefined(async () => log?.backlog()),
    ]);
    return metrics.snapshot({ active, contingency });
  };
}

async function orUndefined<T>(ask: () => Promise<T>): Promise<T | undefined> {
  return ask().catch(() => undefined);
}
