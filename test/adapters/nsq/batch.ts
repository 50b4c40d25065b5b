import { encodeEnvelope } from '../../../src/core/event.js';
import type { PublishBatch } from '../../../src/ports/event-publisher.js';

/** A batch whose messages, with the codec `json()`, are the data as JSON. `from` is the sequence of the first. */
export function batchOf(topic: string, data: readonly unknown[], from = 1, sessionId = 's-1'): PublishBatch {
  const events = data.map((value, index) => ({
    topic,
    sequence: from + index,
    json: encodeEnvelope(
      { id: `e-${from + index}`, source: '/test', type: 'test', time: '2026-01-01T00:00:00Z', sessionId },
      JSON.stringify(value),
    ),
  }));
  return { sessionId, topic, events };
}
