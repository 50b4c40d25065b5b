import { isDeepStrictEqual } from 'node:util';
import type { Message } from '../broker.js';
import { answer, call, note, type PlayScene, plural, short, table } from '../scene.js';

export const commit: PlayScene = async ({ sessions, broker, orderId }) => {
  const receipt = await sessions.session(orderId).commit({ expectedEvents: 3 });
  const again = await sessions.session(orderId).commit();
  const sameReceipt = isDeepStrictEqual(again, receipt);
  const messages = [...(await broker.received(3))].sort(bySequence);
  const { status, published, durationMs } = receipt;
  return {
    step: 'commit',
    title: 'Commit: all of it, in order',
    lines: [
      call('session(id).commit({ expectedEvents: 3 })'),
      answer(`${status}: ${plural(published, 'event')} published in ${durationMs.toFixed(1)} ms`),
      call('session(id).commit()'),
      answer(sameReceipt ? 'the same receipt, and nothing is published twice' : 'another receipt'),
      note('What a consumer got:'),
      table(
        ['sequence', 'type', 'id', 'topic'],
        ...messages.map(({ topic, event }) => [event.sequence, event.type, short(event.id), topic]),
      ),
    ],
    facts: {
      receipt,
      sameReceipt,
      messages: messages.map(({ topic, event }) => ({ topic, ...event })),
    },
  };
};

/** Topics are read side by side; the sequence puts a session back in order. */
function bySequence(a: Message, b: Message): number {
  return a.event.sequence.localeCompare(b.event.sequence);
}
