import { EventSessionsError } from '../../core/errors.js';
import type { ActiveStatus } from '../../core/lifecycle.js';
import type { SessionPage } from '../../ports/session-store.js';
import type { RedisConnection } from './connection.js';
import {
  INDEX_CORRECT,
  INDEX_COUNT,
  INDEX_DUE,
  INDEX_PAGE,
  INDEX_PUT,
  INDEX_REMOVE,
} from './index-scripts.js';
import { list, text, unexpected, whole } from './replies.js';
import type { Script } from './script.js';
import type { RedisSessionRecord } from './session-record.js';

/**
 * The sorted set of all `open` and `committing` sessions, scored by the time at which somebody should look at them:
 * an open one's expiry, a committing one's end of lease.
 *
 * It lives in another slot than the sessions, so no script can change both. Therefore the sessions are the truth and
 * the index only has to be **complete**: an entry is added before its session and removed after its end. Scores may
 * be too early (an add renews the expiry, a batch renews the lease), never too late by more than the grace of a session
 * that was found overdue and then renewed after all: whoever looks too early puts the true time in. Between looking at a
 * session and correcting its entry the session may begin, or begin to commit: so both change the score of an entry, and
 * a correction is made only if the score is still the one that was read.
 */
export interface SessionIndex {
  /**
   * Before a session begins: there is an entry then, due in that time or earlier. If there was none, answers what undoes
   * it: then nobody else has needed the entry since, or it stays.
   */
  add(sessionId: string, dueInMs: number): Promise<Undo | undefined>;
  /** The same for a session that has begun, and that may be due earlier than before. Never fails: an entry is there. */
  hasten(sessionId: string, dueInMs: number): Promise<Undo | undefined>;
  /** Never fails: a leftover entry is removed by the next look at it. */
  remove(sessionId: string): Promise<void>;
  /** Those that cannot be read come last: whoever takes care of the others need not know of them. */
  due(get: GetSession, limit: number): Promise<string[]>;
  list(
    get: GetSession,
    status: ActiveStatus | undefined,
    cursor: string | undefined,
    limit: number,
  ): Promise<SessionPage>;
  count(): Promise<number>;
}

/** Never fails: what it leaves is removed by the next look at it. */
type Undo = () => Promise<void>;

/** `unreadable`: somebody else has spoiled the session. It is only this one, the store itself is well. */
export type GetSession = (sessionId: string) => Promise<RedisSessionRecord | 'unreadable' | undefined>;

/** A missing session this long overdue is gone for good, not about to be written. */
const GONE_AFTER_MS = 60_000;

/** Sessions that one `due` looks at in one go, and in vain as a whole. What it has set right it need not look at again. */
const MIN_LOOKS = 100;
const MAX_LOOKS = 1_000;
const MAX_VAIN_LOOKS = 10_000;

/** Entries of the same score, before the place at which a page begins. Redis takes some hundred in the millisecond of one. */
const MAX_TIES = 10_000;

export function createSessionIndex(redis: RedisConnection, key: string): SessionIndex {
  const run = (script: Script, ...args: (string | number)[]) => redis.run(script, [key], args);

  async function add(sessionId: string, dueInMs: number): Promise<Undo | undefined> {
    const reply = await run(INDEX_PUT, sessionId, dueInMs);
    if (reply === '') return undefined;
    const score = whole(reply, 'a score');
    return async () => {
      await correct({ sessionId, score }, '');
    };
  }

  /** Whether the session needs somebody now; otherwise sets its entry right. */
  async function look(session: Awaited<ReturnType<GetSession>>, entry: Entry, now: number): Promise<Look> {
    if (session === undefined) {
      return entry.score < now - GONE_AFTER_MS ? correct(entry, '') : 'stays';
    }
    if (session === 'unreadable') return session;
    if (hasEnded(session)) return correct(entry, '');
    const dueAt = session.leaseExpiresAt ?? session.graceUntil ?? session.expiresAt ?? now;
    return dueAt <= now ? 'due' : correct(entry, dueAt - now);
  }

  async function correct({ sessionId, score }: Entry, dueInMs: number | ''): Promise<Look> {
    try {
      whole(await run(INDEX_CORRECT, sessionId, score, dueInMs), 'whether an entry was corrected');
      return 'moved';
    } catch {
      return 'stays';
    }
  }

  return {
    add,
    hasten: (sessionId, dueInMs) => add(sessionId, dueInMs).catch(() => undefined),
    async remove(sessionId) {
      await run(INDEX_REMOVE, sessionId).catch(() => {});
    },

    async due(get, limit) {
      const due = new Set<string>();
      const unreadable = new Set<string>();
      for (let inVain = 0, staying = 0; due.size < limit && inVain < MAX_VAIN_LOOKS; ) {
        const count = Math.min(Math.max(limit - due.size, MIN_LOOKS), MAX_LOOKS);
        // What was not due has left the range, and what stays is before the entries that have not been looked at.
        const [time, flat] = list(await run(INDEX_DUE, staying, count), 'a time and entries of the index');
        const now = whole(time, 'a time');
        const entries = toEntries(flat, count);
        const looks = await Promise.all(
          entries.map(async (entry) => look(await get(entry.sessionId), entry, now)),
        );
        entries.forEach(({ sessionId }, i) => {
          if (looks[i] === 'due') due.add(sessionId);
          if (looks[i] === 'unreadable') unreadable.add(sessionId);
        });
        staying += looks.filter((found) => found !== 'moved').length;
        inVain += looks.filter((found) => found !== 'due').length;
        if (entries.length < count) break;
      }
      return [...due, ...unreadable].slice(0, limit);
    },

    async list(get, status, cursor, limit) {
      const after =
        cursor === undefined ? { score: Number.NEGATIVE_INFINITY, sessionId: '' } : parseCursor(cursor);
      const entries: Entry[] = [];
      for (let offset = 0, more = true; more && entries.length < limit; offset += limit) {
        const from = Number.isFinite(after.score) ? after.score : '-inf';
        const read = toEntries(await run(INDEX_PAGE, from, offset, limit), limit);
        if (offset > MAX_TIES || read.some(({ score }) => score < after.score)) {
          throw unexpected(`entries of the index from ${from} on, those behind ${offset}`, read);
        }
        entries.push(
          ...read.filter((entry) => entry.score > after.score || entry.sessionId > after.sessionId),
        );
        more = read.length === limit;
      }
      const page = entries.slice(0, limit);
      const last = page.at(-1);
      const records = await Promise.all(page.map(({ sessionId }) => get(sessionId)));
      return {
        sessions: records.flatMap((record) =>
          record !== undefined &&
          record !== 'unreadable' &&
          isActive(record.status) &&
          (status === undefined || record.status === status)
            ? [
                {
                  sessionId: record.sessionId,
                  status: record.status,
                  events: record.events,
                  createdAt: record.createdAt,
                },
              ]
            : [],
        ),
        cursor: page.length === limit && last !== undefined ? `${last.score}:${last.sessionId}` : undefined,
      };
    },

    async count() {
      return whole(await run(INDEX_COUNT), 'the entries of the index');
    },
  };
}

/** `moved`: its entry is no longer among those whose time has come. */
type Look = 'due' | 'unreadable' | 'stays' | 'moved';

interface Entry {
  readonly sessionId: string;
  readonly score: number;
}

/** From ids and scores, at most `limit` of each. */
function toEntries(reply: unknown, limit: number): Entry[] {
  const flat = list(reply, 'entries of the index');
  if (flat.length > 2 * limit) throw unexpected(`at most ${limit} entries of the index`, flat);
  const entries: Entry[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    entries.push({ sessionId: text(flat[i], 'a session id'), score: whole(flat[i + 1], 'a score') });
  }
  return entries;
}

function parseCursor(cursor: string): Entry {
  const match = /^(\d{1,16}):([A-Za-z0-9_-]{1,128})$/.exec(cursor);
  if (match === null)
    throw new EventSessionsError('INVALID_INPUT', 'cursor: expected the cursor of a page before');
  return { score: Number(match[1]), sessionId: match[2] ?? '' };
}

/** One that is overdue is `expired` as well, and has not ended before its history says so. */
function hasEnded({ status, history }: RedisSessionRecord): boolean {
  return status === 'expired' ? history.at(-1)?.status === 'expired' : !isActive(status);
}

function isActive(status: string): status is ActiveStatus {
  return status === 'open' || status === 'committing';
}
