import { encodeEnvelope, type StoredEvent } from '../core/event.js';
import { newId } from '../core/ids.js';

export const newTopic = () => `conformance-${newId()}`.slice(0, 60);

export function newEvents(topic: string, data: readonly unknown[], first = 1): StoredEvent[] {
  const attributes = {
    source: '/conformance',
    type: 'case',
    time: '2025-01-01T00:00:00Z',
    sessionId: 'conformance',
  };
  return data.map((datum, i) => ({
    topic,
    sequence: first + i,
    json: encodeEnvelope({ ...attributes, id: newId() }, JSON.stringify(datum)),
  }));
}

export function dataIn(body: string): unknown {
  const value = JSON.parse(body) as { specversion?: unknown; data?: unknown } | null;
  return typeof value === 'object' && value?.specversion === '1.0' ? value.data : value;
}
