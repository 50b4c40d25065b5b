import { openLogSnapshot } from '../adapters/file/log-reader.js';
import { readQuarantine } from '../adapters/file/quarantine-reader.js';
import { withoutBytes } from '../contingency/without-bytes.js';
import { messageOf } from '../core/errors.js';
import { harmless } from '../core/harmless.js';
import type { SessionStatus } from '../core/lifecycle.js';
import { isId } from '../core/validate.js';
import type { ContingencyRecord } from '../ports/contingency-log.js';
import type { SessionRecord, SessionStore } from '../ports/session-store.js';
import type { CommandContext } from './command.js';
import { EXIT, UsageError } from './exit-codes.js';
import { openStore } from './parts.js';
import { tableLines } from './terminal.js';
import { agoText, bytesText, countText, spanText, timeText } from './wording.js';

/** One thing that happened to a session, as one of its three places knows it. */
interface Step {
  readonly at: number;
  readonly place: 'store' | 'log' | 'quarantine';
  readonly what: string;
  readonly details: Readonly<Record<string, unknown>>;
}

interface StoreAnswer {
  readonly state: 'found' | 'unknown' | 'unreachable' | 'not configured';
  readonly error?: string;
  readonly session?: Omit<SessionRecord, 'history' | 'metadata'> & { readonly metadata?: unknown };
}

/** All that the log, the quarantine and the store know of one session, in order. */
export async function showSession(context: CommandContext, file: string, sessionId: string): Promise<number> {
  if (!isId(sessionId)) {
    throw new UsageError('--session: expected an id of 1 to 128 characters A-Z a-z 0-9 _ -');
  }
  const { flags, stdout } = context;
  const withData = flags.data === true;
  const store = await openStore(context.settings);
  const { answer, history } = await askStore(store, sessionId, withData);
  const logged = await inLog(file, sessionId, withData);
  const quarantined = await inQuarantine(file, sessionId, withData);
  const steps = merged(merged(history, logged), quarantined);
  const isKnown = answer.state === 'found' || logged.length > 0 || quarantined.length > 0;
  if (flags.json === true) stdout.line(JSON.stringify({ sessionId, store: answer, steps }));
  else if (isKnown) showSteps(context, sessionId, answer, steps);
  else {
    const places =
      answer.state === 'unknown' ? 'the log, its quarantine and the store' : 'the log and its quarantine';
    stdout.line(`Nothing is known of session ${sessionId}. Looked in: ${places}.${storeNote(answer)}`);
  }
  return isKnown ? EXIT.ok : EXIT.left;
}

async function askStore(
  store: SessionStore | undefined,
  sessionId: string,
  withData: boolean,
): Promise<{ answer: StoreAnswer; history: Step[] }> {
  if (store === undefined) return { answer: { state: 'not configured' }, history: [] };
  try {
    const found = await store.get(sessionId);
    if (found === undefined) return { answer: { state: 'unknown' }, history: [] };
    const { history, metadata, ...session } = found;
    const steps = history.map(({ status, at, instance, reason }): Step => {
      return { at, place: 'store', what: status, details: { instance, reason } };
    });
    const shown = withData ? { ...session, metadata: JSON.parse(metadata) as unknown } : session;
    return { answer: { state: 'found', session: shown }, history: steps };
  } catch (error) {
    return { answer: { state: 'unreachable', error: messageOf(error) }, history: [] };
  } finally {
    await store.close().catch(() => {});
  }
}

async function inLog(file: string, sessionId: string, withData: boolean): Promise<Step[]> {
  const snapshot = await openLogSnapshot(file);
  const steps: Step[] = [];
  try {
    for await (const entry of snapshot.read()) {
      if ('record' in entry && entry.record.sessionId === sessionId)
        steps.push(stepOf('log', entry.record, withData));
    }
  } finally {
    await snapshot.close();
  }
  return steps;
}

async function inQuarantine(file: string, sessionId: string, withData: boolean): Promise<Step[]> {
  const steps: Step[] = [];
  for await (const { at, reason, record } of readQuarantine(file)) {
    if (record?.sessionId !== sessionId) continue;
    const step = stepOf('quarantine', record, withData);
    steps.push({ ...step, at: at ?? step.at, details: { ...step.details, reason } });
  }
  return steps;
}

function stepOf(place: Step['place'], record: ContingencyRecord, withData: boolean): Step {
  const { kind, at, sessionId: _, ...rest } = withoutBytes(record);
  const details: Record<string, unknown> = { ...rest };
  if ('event' in record) {
    const { event, bytes } = eventDetails(record.event, withData);
    Object.assign(details, { event, bytes });
  }
  if ('metadata' in record && !withData) delete details.metadata;
  return { at, place, what: kind, details };
}

/** The attributes of an event; its data only when it was asked for. */
function eventDetails(json: string, withData: boolean): { event: unknown; bytes: number } {
  const bytes = Buffer.byteLength(json);
  try {
    const { id, type, time, subject, data } = JSON.parse(json) as Record<string, unknown>;
    return { event: { id, type, time, subject, ...(withData ? { data } : {}) }, bytes };
  } catch {
    return { event: withData ? json : undefined, bytes };
  }
}

/** Both keep their own order, whatever their clocks say. */
function merged(first: readonly Step[], second: readonly Step[]): Step[] {
  const steps: Step[] = [];
  let next = 0;
  for (const step of first) {
    for (let other = second[next]; other !== undefined && other.at < step.at; other = second[next]) {
      steps.push(other);
      next += 1;
    }
    steps.push(step);
  }
  return [...steps, ...second.slice(next)];
}

const TONES: Readonly<Record<SessionStatus, 'green' | 'yellow' | 'cyan' | 'dim'>> = {
  open: 'cyan',
  committing: 'yellow',
  committed: 'green',
  rolled_back: 'dim',
  expired: 'dim',
};

function showSteps(
  { stdout }: CommandContext,
  sessionId: string,
  answer: StoreAnswer,
  steps: readonly Step[],
): void {
  const { line, paint } = stdout;
  const now = Date.now();
  const { session } = answer;
  line(`${paint('bold', 'Session')} ${sessionId}`);
  if (session === undefined) {
    line(`Store: ${answer.state}${answer.error === undefined ? '' : ` (${harmless(answer.error)})`}`);
  } else {
    const { status, events, bytes, cursor, deferred, epoch, createdAt, expiresAt, leaseExpiresAt } = session;
    const facts = [
      countText(events, 'event'),
      bytesText(bytes),
      `${cursor - deferred} published`,
      ...(deferred > 0 ? [`${deferred} left to the log`] : []),
      ...(epoch > 0 ? [countText(epoch, 'commit attempt')] : []),
      `started ${agoText(createdAt, now)}`,
      ...(expiresAt !== undefined && expiresAt > now
        ? [`${status === 'open' ? 'expires' : 'vanishes'} in ${spanText(expiresAt - now)}`]
        : []),
      ...(status === 'committing' ? [leaseText(leaseExpiresAt, now)] : []),
    ];
    line(`Store: ${paint(TONES[status], status)} · ${facts.join(' · ')}`);
    if (session.metadata !== undefined) line(`Metadata: ${harmless(JSON.stringify(session.metadata))}`);
  }
  const logged = steps.filter(({ place }) => place === 'log').length;
  line(`Log: ${logged === 0 ? 'nothing waits' : `${countText(logged, 'record')} to recover`}`);
  const quarantined = steps.filter(({ place }) => place === 'quarantine').length;
  if (quarantined > 0) line(paint('yellow', `Quarantine: ${countText(quarantined, 'record')}`));
  if (steps.length === 0) return;
  line();
  const rows = steps.map(({ at, place, what, details }) => [timeText(at), place, what, detailsText(details)]);
  const columns = [{ title: 'TIME (UTC)' }, { title: 'IN' }, { title: 'WHAT' }, { title: 'DETAILS' }];
  for (const text of tableLines(columns, rows, paint)) line(text.trimEnd());
}

function leaseText(leaseExpiresAt: number | undefined, now: number): string {
  if (leaseExpiresAt === undefined) return 'no attempt holds it';
  if (leaseExpiresAt <= now) return `the lease is over since ${spanText(now - leaseExpiresAt)}`;
  return `leased for another ${spanText(leaseExpiresAt - now)}`;
}

function detailsText({ event, bytes, reason, ...rest }: Readonly<Record<string, unknown>>): string {
  const others = Object.entries(rest).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (name === 'ttlMs') return [`ttl ${spanText(value as number)}`];
    return [`${name} ${harmless(typeof value === 'string' ? value : JSON.stringify(value))}`];
  });
  return [
    ...(event === undefined ? [] : [eventText(event)]),
    ...others,
    ...(typeof bytes === 'number' ? [bytesText(bytes)] : []),
    ...(typeof reason === 'string' ? [harmless(reason)] : []),
  ].join(' · ');
}

function eventText(event: unknown): string {
  if (typeof event !== 'object' || event === null) return harmless(String(event));
  const { id, type, data } = event as { id?: unknown; type?: unknown; data?: unknown };
  const shown = data === undefined ? '' : ` ${harmless(JSON.stringify(data))}`;
  return harmless(`${String(type)} ${String(id)}`) + shown;
}

function storeNote({ state, error }: StoreAnswer): string {
  if (state === 'unreachable') return ` The store cannot be asked: ${harmless(error ?? '')}`;
  return state === 'not configured' ? ' No store was named (--redis).' : '';
}
