import type { SessionLimits } from '../../ports/session-store.js';
import type { Elements } from './list-elements.js';
import { text, whole } from './replies.js';
import { MAX_RANGES, MIN_OVERDUE_MS } from './scripts.js';
import type { WriterRun } from './writer-ids.js';

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
  /** The numbers of the writer's that are in the session, as {@link MAX_RANGES} says. */
  readonly ranges: string;
}

/** From what the script for an append of this writer has answered; undefined if that tells no more than the outcome. */
export function toState(
  reply: readonly unknown[],
  writer: string,
  askedAt: number,
): SessionState | undefined {
  if (reply.length <= 3) return undefined;
  const number = (index: number) => whole(reply[index], 'what a session is like');
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
    ranges: text(reply[10], 'ranges of numbers'),
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
  const last = lastOf(state.ranges);
  const next = {
    ...state,
    events: state.events + run.length,
    elements: state.elements + texts.length,
    bytes: state.bytes + bytes,
    expiresAt: Math.max(state.expiresAt, state.now + age + state.ttlMs),
    ranges: rangesWith(state.ranges, last, run),
  };
  const mayBeRefused =
    run.prefix !== state.writer ||
    run.first <= last ||
    next.ranges.length > MAX_RANGES ||
    next.events > maxSessionEvents ||
    next.bytes > maxSessionBytes;
  const mustBeRenewed = largest > state.largest || next.keepUntil - next.expiresAt < MIN_OVERDUE_MS;
  const isOld = age > MAX_AGE_MS || age > state.ttlMs / 10;
  return mayBeRefused || mustBeRenewed || isOld ? undefined : next;
}

function lastOf(ranges: string): number {
  return Number(ranges.slice(ranges.lastIndexOf(' ') + 1));
}

/** `1 500 503 510` with numbers above the last one. As in the scripts. */
function rangesWith(ranges: string, last: number, { first, length }: WriterRun): string {
  const to = first + length - 1;
  return first === last + 1
    ? `${ranges.slice(0, ranges.lastIndexOf(' '))} ${to}`
    : `${ranges} ${first} ${to}`;
}
