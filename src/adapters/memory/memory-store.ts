import * as z from 'zod/mini';
import type { AcceptedEvent } from '../../core/event.js';
import type {
  ActiveStatus,
  Cause,
  CommitReceipt,
  HistoryEntry,
  SessionStatus,
} from '../../core/lifecycle.js';
import { functionOf, validate } from '../../core/validate.js';
import type {
  NotFound,
  NotOpen,
  SessionLimits,
  SessionRecord,
  SessionStore,
} from '../../ports/session-store.js';

export interface MemoryStoreOptions {
  /** The clock, in milliseconds since the epoch, for tests that turn it. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

interface MemorySession {
  readonly sessionId: string;
  readonly metadata: string;
  readonly createdAt: number;
  readonly ttlMs: number;
  readonly events: AcceptedEvent[];
  readonly ids: Set<string>;
  readonly history: HistoryEntry[];
  status: SessionStatus;
  bytes: number;
  /** Of an open session: when it runs out. Of an ended one: when it vanishes. */
  expiresAt: number;
  /** Of an open session that was found past its expiry: when it may be ended. */
  graceUntil: number | undefined;
  cursor: number;
  deferred: number;
  epoch: number;
  attemptId: string | undefined;
  leaseExpiresAt: number;
  receipt: CommitReceipt | undefined;
}

/** Beyond it, takeovers of a commit are no longer noted. */
const MAX_HISTORY_CHARACTERS = 16_384;

const NOT_FOUND: NotFound = { outcome: 'not_found' };

const optionsSchema = z.strictObject({ now: z.optional(functionOf<() => number>('a function')) });

/**
 * Sessions in memory: the embedded default, and for unit tests. They are lost with the process.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const { now = Date.now } = validate(optionsSchema, options, 'memoryStore');
  const sessions = new Map<string, MemorySession>();
  let sweepAt = 0;

  function find(sessionId: string): MemorySession | undefined {
    const session = sessions.get(sessionId);
    if (session === undefined) return undefined;
    if (isFinal(session.status) && session.expiresAt <= now()) {
      sessions.delete(sessionId);
      return undefined;
    }
    return session;
  }

  /** Ended sessions that nobody asks for must go as well; once a minute is enough. */
  function forgetVanished(): void {
    if (now() < sweepAt) return;
    sweepAt = now() + 60_000;
    for (const sessionId of sessions.keys()) find(sessionId);
  }

  /** The session if it is open, or else the answer that says why it is not. */
  function findOpen(sessionId: string, asOf?: number): MemorySession | NotFound | NotOpen {
    const session = find(sessionId);
    if (session === undefined) return NOT_FOUND;
    const status = effectiveStatus(session, asOf);
    return status === 'open' ? session : { outcome: 'not_open', status };
  }

  const effectiveStatus = (session: MemorySession, asOf = Number.POSITIVE_INFINITY): SessionStatus =>
    session.status === 'open' && session.expiresAt <= Math.min(asOf, now()) ? 'expired' : session.status;

  function transition(session: MemorySession, status: SessionStatus, cause: Cause): void {
    session.status = status;
    const isTakeover = status === 'committing' && session.epoch > 1;
    if (isTakeover && JSON.stringify(session.history).length > MAX_HISTORY_CHARACTERS) return;
    session.history.push({ status, at: now(), ...cause });
  }

  function end(session: MemorySession, status: SessionStatus, retentionMs: number, cause: Cause): void {
    transition(session, status, cause);
    session.expiresAt = now() + retentionMs;
  }

  const dueAt = ({ status, graceUntil, expiresAt, leaseExpiresAt }: MemorySession): number =>
    status === 'open' ? (graceUntil ?? expiresAt) : leaseExpiresAt;

  const isDue = (session: MemorySession): boolean => !isFinal(session.status) && dueAt(session) <= now();

  return {
    async start({ sessionId, metadata, ttlMs, cause }) {
      const existing = find(sessionId);
      if (existing !== undefined) return { outcome: 'exists', status: effectiveStatus(existing) };
      forgetVanished();
      const createdAt = now();
      const session: MemorySession = {
        sessionId,
        metadata,
        ttlMs,
        createdAt,
        events: [],
        ids: new Set(),
        history: [{ status: 'open', at: createdAt, ...cause }],
        status: 'open',
        bytes: 0,
        expiresAt: createdAt + ttlMs,
        graceUntil: undefined,
        cursor: 0,
        deferred: 0,
        epoch: 0,
        attemptId: undefined,
        leaseExpiresAt: 0,
        receipt: undefined,
      };
      sessions.set(sessionId, session);
      return { outcome: 'created' };
    },

    async append(sessionId, events, limits, asOf) {
      const session = findOpen(sessionId, asOf);
      if ('outcome' in session) return session;
      const { ids } = session;
      const duplicates: number[] = [];
      const fresh: AcceptedEvent[] = [];
      let bytes = session.bytes;
      for (let i = 0; i < events.length; i += 1) {
        const event = events[i] as AcceptedEvent;
        if (ids.has(event.id)) {
          duplicates.push(i);
        } else {
          ids.add(event.id);
          fresh.push(event);
          bytes += Buffer.byteLength(event.json);
        }
      }
      const exceeded = fresh.length > 0 && exceededBy(session.events.length + fresh.length, bytes, limits);
      if (exceeded) {
        for (const { id } of fresh) ids.delete(id);
        return { outcome: 'limit_exceeded', limit: exceeded };
      }
      for (const event of fresh) session.events.push(event);
      session.bytes = bytes;
      session.expiresAt = Math.max(session.expiresAt, now() + session.ttlMs);
      session.graceUntil = undefined;
      return { outcome: 'appended', duplicates, events: session.events.length };
    },

    async extend(sessionId, ttlMs) {
      const session = findOpen(sessionId);
      if ('outcome' in session) return session;
      session.expiresAt = now() + (ttlMs ?? session.ttlMs);
      return { outcome: 'extended', expiresAt: session.expiresAt };
    },

    async beginCommit(sessionId, { attemptId, leaseMs, expectedEvents, asOf, cause }) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      const status = effectiveStatus(session, asOf);
      const events = session.events.length;
      if (session.receipt !== undefined) return { outcome: 'committed', receipt: { ...session.receipt } };
      if (status !== 'open' && status !== 'committing') return { outcome: 'not_open', status };
      const same = session.attemptId === attemptId;
      if (status === 'open') {
        if (expectedEvents !== undefined && expectedEvents !== events) return { outcome: 'mismatch', events };
      } else if (!same && session.leaseExpiresAt > now()) {
        return { outcome: 'in_progress', retryAfterMs: session.leaseExpiresAt - now() };
      }
      if (!same) {
        session.epoch += 1;
        session.attemptId = attemptId;
        transition(session, 'committing', cause);
      }
      session.leaseExpiresAt = now() + leaseMs;
      return {
        outcome: 'granted',
        epoch: session.epoch,
        cursor: session.cursor,
        deferred: session.deferred,
        events,
      };
    },

    async advance(sessionId, { epoch, cursor, deferred, leaseMs }) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      if (session.status !== 'committing' || session.epoch !== epoch) return { outcome: 'stale' };
      if (cursor > session.cursor) {
        session.cursor = cursor;
        session.deferred = deferred;
      }
      session.leaseExpiresAt = now() + leaseMs;
      return { outcome: 'done' };
    },

    async finishCommit(sessionId, { epoch, cursor, deferred, receipt, retentionMs, cause }) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      if (session.epoch !== epoch) return { outcome: 'stale' };
      if (session.status === 'committed') return { outcome: 'done' };
      if (session.status !== 'committing' || cursor !== session.events.length) return { outcome: 'stale' };
      session.cursor = cursor;
      session.deferred = deferred;
      session.receipt = { ...receipt };
      end(session, 'committed', retentionMs, cause);
      return { outcome: 'done' };
    },

    async releaseCommit(sessionId, epoch) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      if (session.status !== 'committing' || session.epoch !== epoch) return { outcome: 'stale' };
      session.leaseExpiresAt = 0;
      return { outcome: 'done' };
    },

    async rollback(sessionId, { retentionMs, asOf, cause }) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      const status = effectiveStatus(session, asOf);
      const repeated = status === 'rolled_back';
      if (!repeated) {
        if (status !== 'open') return { outcome: 'not_open', status };
        end(session, 'rolled_back', retentionMs, cause);
      }
      return { outcome: 'rolled_back', discarded: session.events.length, repeated };
    },

    async expire(sessionId, { retentionMs, graceMs, cause }) {
      const session = find(sessionId);
      if (session === undefined) return NOT_FOUND;
      if (session.status !== 'open' || session.expiresAt > now()) return { outcome: 'not_due' };
      session.graceUntil ??= now() + graceMs;
      if (session.graceUntil > now()) return { outcome: 'not_due' };
      end(session, 'expired', retentionMs, cause);
      return { outcome: 'expired', discarded: session.events.length };
    },

    async get(sessionId) {
      const session = find(sessionId);
      return session === undefined ? undefined : toRecord(session, effectiveStatus(session));
    },

    async read(sessionId, { after, limit, maxBytes }) {
      const found: { topic: string; sequence: number; json: string }[] = [];
      let bytes = 0;
      for (const { topic, json } of find(sessionId)?.events.slice(after, after + limit) ?? []) {
        bytes += Buffer.byteLength(json);
        if (found.length > 0 && bytes > maxBytes) break;
        found.push({ topic, json, sequence: after + found.length + 1 });
      }
      return found;
    },

    async contains(sessionId, eventIds) {
      const ids = find(sessionId)?.ids;
      return eventIds.map((id) => ids?.has(id) ?? false);
    },

    async list({ status, cursor = '', limit }) {
      const active = [...sessions.values()]
        .map((session) => ({ session, status: effectiveStatus(session) }))
        .filter((entry) => !isFinal(entry.status) && (status ?? entry.status) === entry.status)
        .filter(({ session }) => session.sessionId > cursor)
        .sort((a, b) => (a.session.sessionId < b.session.sessionId ? -1 : 1));
      const page = active.slice(0, limit);
      return {
        sessions: page.map(({ session: { sessionId, events, createdAt }, status }) => ({
          sessionId,
          status: status as ActiveStatus,
          events: events.length,
          createdAt,
        })),
        cursor: active.length > limit ? page.at(-1)?.session.sessionId : undefined,
      };
    },

    async due(limit) {
      return [...sessions.values()]
        .filter(isDue)
        .sort((a, b) => dueAt(a) - dueAt(b))
        .slice(0, limit)
        .map(({ sessionId }) => sessionId);
    },

    async countActive() {
      let count = 0;
      for (const { status } of sessions.values()) if (!isFinal(status)) count += 1;
      return count;
    },

    async ping() {},
    async close() {},
  };
}

function exceededBy(events: number, bytes: number, limits: SessionLimits): 'events' | 'bytes' | undefined {
  if (events > limits.maxSessionEvents) return 'events';
  return bytes > limits.maxSessionBytes ? 'bytes' : undefined;
}

function isFinal(status: SessionStatus): boolean {
  return status !== 'open' && status !== 'committing';
}

function toRecord(session: MemorySession, status: SessionStatus): SessionRecord {
  const { sessionId, events, bytes, cursor, deferred, epoch, createdAt, metadata, history } = session;
  return {
    sessionId,
    status,
    events: events.length,
    bytes,
    cursor,
    deferred,
    epoch,
    createdAt,
    expiresAt: status === 'committing' ? undefined : session.expiresAt,
    leaseExpiresAt: status === 'committing' ? session.leaseExpiresAt || undefined : undefined,
    metadata,
    history: history.map((entry) => ({ ...entry })),
  };
}
