import { nsqPublisher } from 'event-sessions/nsq';
import { eventPublisherCases } from 'event-sessions/testing';
import { describe, test } from 'vitest';
import { consume } from '../../support/nsqd.js';
import { describeWith } from '../../support/services.js';

describeWith('nsqd', ({ tcp }) => {
  describe('nsqPublisher conforms', () => {
    const cases = eventPublisherCases(async () => ({
      publisher: nsqPublisher({ nsqd: tcp }),
      consume: (topic, count) => consume(tcp, topic, { count }),
    }));
    for (const { name, run } of cases) test(name, run);
  });
});
