import * as z from 'zod/mini';
import type { SessionRepository } from '../contingency/session-repository.js';
import type { DomainEvents } from '../core/domain-events.js';
import { EventSessionsError } from '../core/errors.js';
import { newId } from '../core/ids.js';
import { toJsonText } from '../core/json-text.js';
import type { Metrics } from '../core/metrics.js';
import { sessionNotOpen } from '../core/refusals.js';
import { durationMs, idSchema, validate } from '../core/validate.js';

export interface StartSessionInput {
  /**
   * An id of your own makes the start idempotent: a session that is open under it is returned. 1 to 128 characters
   * `A-Z a-z 0-9 _ -`. Default: 128 random bits.
   */
  readonly sessionId?: string | undefined;
  /** Kept with the session and returned by `status()`. At most 16 KiB of JSON. Never logged, never published. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** Milliseconds until the session expires, renewed by every add. Default: the `ttl` of `createEventSessions`. */
  readonly ttl?: number | undefined;
}

export interface StartReceipt {
  readonly sessionId: string;
  readonly status: 'open';
  /** False when a session of this id was open already; its metadata and ttl stay as they are. */
  readonly created: boolean;
  /** True when the store was down: the start is in the contingency log. */
  readonly deferred: boolean;
}

/**
 * Starts a session, unless one of this id is open already.
 *
 * @throws `INVALID_INPUT`, `SESSION_NOT_OPEN` when a session of this id has ended, `STORE_UNAVAILABLE`,
 * `CONTINGENCY_FAILED`.
 */
export type StartSession = (input?: StartSessionInput) => Promise<StartReceipt>;

export interface StartSessionContext {
  readonly repository: SessionRepository;
  readonly events: DomainEvents;
  readonly metrics: Metrics;
  readonly instanceId: string;
  readonly ttlMs: number;
}

const MAX_METADATA_BYTES = 16_384;

export const startSessionSchema = z.strictObject({
  sessionId: z.optional(idSchema),
  metadata: z.optional(
    z.custom<Readonly<Record<string, unknown>>>(
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      { error: 'an object' },
    ),
  ),
  ttl: z.optional(durationMs()),
});

export function createStartSession(context: StartSessionContext): StartSession {
  const { repository, events, metrics, instanceId } = context;

  return async (input = {}) => {
    const {
      sessionId = newId(),
      metadata = {},
      ttl = context.ttlMs,
    } = validate(startSessionSchema, input, 'startSession');
    const result = await repository.start({
      sessionId,
      metadata: metadataText(metadata),
      ttlMs: ttl,
      cause: { instance: instanceId },
    });
    if (result.outcome === 'exists') {
      if (result.status !== 'open') throw sessionNotOpen(sessionId, result.status, 'be started again');
      return { sessionId, status: 'open', created: false, deferred: false };
    }
    const deferred = result.outcome === 'deferred';
    const created = result.outcome === 'created' || !result.repeated;
    if (created) {
      metrics.sessionStarted();
      events.emit('session.started', { sessionId, deferred });
    }
    return { sessionId, status: 'open', created, deferred };
  };
}

function metadataText(metadata: Readonly<Record<string, unknown>>): string {
  const text = toJsonText(metadata, {
    maxDepth: 32,
    maxBytes: MAX_METADATA_BYTES,
    subject: 'metadata',
    code: 'INVALID_INPUT',
  });
  if (!text.startsWith('{')) {
    const issues = [{ path: 'metadata', message: 'expected an object, also as JSON' }];
    throw new EventSessionsError('INVALID_INPUT', 'metadata: expected an object, also as JSON', { issues });
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_METADATA_BYTES) {
    const message = `metadata: has ${bytes} bytes of JSON; ${MAX_METADATA_BYTES} are allowed`;
    throw new EventSessionsError('INVALID_INPUT', message, { limit: MAX_METADATA_BYTES, actual: bytes });
  }
  return text;
}
