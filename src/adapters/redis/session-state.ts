import type { SessionLimits } from '../../ports/session-store.js';
import { MAX_RANGES } from './append-scripts.js';
import type { Elements } from './list-elements.js';
import { text, whole } from './replies.js';
import { MIN_OVERDUE_MS } from './script.js';
import { MAX_DIGITS, type WriterRun } from './writer-ids.js';

/** What a session was like right behind an append of this process: enough to work out what the next one makes of it. */
export interface SessionState {
  readonly events: number;
  readonly elements: number;
  readonly bytes: number;
  /** Bytes of the largest element. */
  readonly largest: number;
  /** By the server's clock, as the next two. */
  readonly expiresAt: number;
  /** When its keys go. */
  readonly keepUntil: number;
  /** When the server was last asked for the time. */
  readonly now: number;
  /** `performance.now()` before it was asked. */
  readonly askedAt: number;
  readonly ttlMs: number;
  readonly writer: string;
  /** The numbers of the writer's that are in the session, as {@link MAX_RANGES} says, without the last one. */
  readonly ranges: string;
  readonly last: number;
}

/** From what the script for an append of this writer has answered; undefined if that tells no more than the outcome. */
export function toState(
  reply: readonly unknown[],
  writer: string,
  askedAt: number,
): SessionState | undefined {
  if (reply.length <= 3) return undefined;
  const number = (index: number) => whole(reply[index], 'what a session is like');
  const ranges = text(reply[10], 'ranges of numbers');
  const lastAt = ranges.lastIndexOf(' ') + 1;
  return {
    events: number(1),
    elements: number(3),
    bytes: number(4),
    largest: number(5),
    expiresAt: number(6),
    keepUntil: number(7),
    now: number(8),
    askedAt,
    ttlMs: number(9),
    writer,
    ranges: ranges.slice(0, lastAt),
    last: Number(ranges.slice(lastAt)),
  };
}

/**
 * How long the server's time is told from when it was last asked: at most so many milliseconds, and a tenth of the time to
 * live, so that a session is never taken for open for long that is overdue.
 */
const MAX_AGE_MS = 10_000;

/**
 * What an append makes of the session. Undefined if the server has to look: because it might refuse the append, or renew
 * for how long the keys stay, or because some time has passed.
 */
export function stateAfter(
  state: SessionState,
  run: WriterRun,
  { texts, bytes, largest }: Elements,
  { maxSessionEvents, maxSessionBytes }: SessionLimits,
  askedAt: number,
): SessionState | undefined {
  const age = Math.round(askedAt - state.askedAt);
  const isOld = age > MAX_AGE_MS || age > state.ttlMs / 10;
  const { first, length, prefix } = run;
  if (isOld || largest > state.largest || prefix !== state.writer || first <= state.last) return undefined;
  const next = {
    events: state.events + length,
    elements: state.elements + texts.length,
    bytes: state.bytes + bytes,
    largest: state.largest,
    expiresAt: Math.max(state.expiresAt, state.now + age + state.ttlMs),
    keepUntil: state.keepUntil,
    now: state.now,
    askedAt: state.askedAt,
    ttlMs: state.ttlMs,
    writer: prefix,
    ranges: first === state.last + 1 ? state.ranges : `${state.ranges}${state.last} ${first} `,
    last: first + length - 1,
  };
  const mayBeRefused =
    next.ranges.length + MAX_DIGITS > MAX_RANGES ||
    next.events > maxSessionEvents ||
    next.bytes > maxSessionBytes;
  const mustBeRenewed = next.keepUntil - next.expiresAt < MIN_OVERDUE_MS;
  return mayBeRefused || mustBeRenewed ? undefined : next;
}
