import { hasSoundId, isEnvelope } from '../core/event.js';
import { isTopic } from '../core/topic.js';
import { isId } from '../core/validate.js';
import type {
  ContingencyRecord,
  EventAddedRecord,
  EventUnpublishedRecord,
} from '../ports/contingency-log.js';

/** The last ones found valid: usually the next record has the same. */
const sound: { sessionId?: string; topic?: string } = {};

/**
 * Why a record that the log could read must never be replayed; undefined if it may be. No instance writes such a
 * record, and it would do harm in the store or at the broker.
 */
export function flawOf(record: ContingencyRecord): string | undefined {
  const { sessionId, at } = record;
  if (sessionId !== sound.sessionId) {
    if (!isId(sessionId)) return 'its sessionId is no id';
    sound.sessionId = sessionId;
  }
  if (!isCount(at)) return 'its time is none';
  switch (record.kind) {
    case 'session.started':
      if (!isCount(record.ttlMs) || record.ttlMs === 0) return 'its ttlMs is no time to live';
      return isObject(record.metadata) ? undefined : 'its metadata is no JSON object';
    case 'event.unpublished':
      if (!isCount(record.sequence) || record.sequence === 0) return 'its sequence is none';
      return flawOfEvent(record);
    case 'event.added':
      return flawOfEvent(record);
    case 'session.commit_requested':
      if (!isId(record.attemptId)) return 'its attemptId is no id';
      return isCount(record.expectedEvents ?? 0) ? undefined : 'its expectedEvents is no number of events';
    case 'session.rollback_requested':
      return undefined;
  }
}

function flawOfEvent(record: EventAddedRecord | EventUnpublishedRecord): string | undefined {
  if (record.topic !== sound.topic) {
    if (!isTopic(record.topic)) return 'its topic is none';
    sound.topic = record.topic;
  }
  const event = record.utf8 ?? record.event;
  return isEnvelope(event) && hasSoundId(event) ? undefined : 'its event is none';
}

const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

function isObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
