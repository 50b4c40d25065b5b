import { randomFillSync } from 'node:crypto';
import { createEventSessions } from 'event-sessions';

/** The data of an event, as a user has it. */
export interface Data {
  readonly orderId: string;
  readonly total: number;
  readonly note: string;
}

export const TOPIC = 'bench#ephemeral';
export const TYPE = 'order.placed';
export const SOURCE = '/bench';

const data = (note: string): Data => ({ orderId: 'o-1', total: 42, note });

/** Data whose envelope, as the library stores it, has as good as `bytes` bytes. */
export async function dataOfSize(bytes: number): Promise<Data> {
  const sessions = createEventSessions({ source: SOURCE, recovery: false });
  const session = await sessions.startSession();
  await session.add(TYPE, data(''));
  const [event] = (await session.events()).events;
  await sessions.close();
  const { sequence: _, ...stored } = event as unknown as Record<string, unknown>;
  return data('x'.repeat(Math.max(0, bytes - JSON.stringify(stored).length)));
}

const pool = Buffer.alloc(16 * 256);
let used = pool.length;

/** As anybody would make it who has to be fast: random bytes drawn in advance. */
export function eventId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += 16;
  return pool.toString('base64url', used - 16, used);
}

/**
 * The same CloudEvents envelope, by hand: what somebody would write who knows all of its parts. Nothing is checked.
 * With `sequence` it is what goes to the broker.
 */
export function envelope(id: string, sessionId: string, body: Data, sequence?: number): string {
  const tail = sequence === undefined ? '' : `,"sequence":"${String(sequence).padStart(10, '0')}"`;
  return (
    `{"specversion":"1.0","id":"${id}","source":"${SOURCE}","type":"${TYPE}","time":"${new Date().toISOString()}"` +
    `,"sessionid":"${sessionId}","datacontenttype":"application/json","data":${JSON.stringify(body)}${tail}}`
  );
}
