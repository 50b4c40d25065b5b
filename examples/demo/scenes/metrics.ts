import { note, type PlayScene, table } from '../scene.js';

export const metrics: PlayScene = async ({ sessions }) => {
  const snapshot = await sessions.metrics();
  const { events, sessions: counts, commitDuration, contingency, recentFailures } = snapshot;
  const lastFailure = recentFailures.at(-1);
  return {
    step: 'metrics',
    title: 'What the instance knows of itself',
    lines: [
      table(
        ['events', `${events.added} added, ${events.published} published, ${events.failed} failed`],
        ['', `${events.deferred} deferred on the way, ${events.recovered} recovered since`],
        ['sessions', `${counts.started} started, ${counts.committed} committed`],
        ['', `${counts.rolledBack} rolled back, ${counts.active ?? 'unknown'} active`],
        [
          'commit',
          `mean ${ms(commitDuration.meanMs)}, p50 ${ms(commitDuration.p50Ms)}, p99 ${ms(commitDuration.p99Ms)}`,
        ],
        ['backlog', `${contingency?.records ?? 'unknown'} records wait for recovery`],
        [
          'failures',
          `${recentFailures.length} recent, the last: ${lastFailure?.cause ?? lastFailure?.message ?? 'none'}`,
        ],
      ),
      note('The slow commit is the one that met the outage.'),
    ],
    facts: { snapshot },
  };
};

const ms = (value: number): string => `${value.toFixed(1)} ms`;
