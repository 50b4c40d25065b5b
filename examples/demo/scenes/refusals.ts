import { isEventSessionsError } from 'event-sessions';
import { call, type Line, note, type PlayScene, refusal } from '../scene.js';

/** Mistakes are refused before anything has changed, with a code for programs and words for people. */
export const refusals: PlayScene = async ({ sessions, orderId }) => {
  const session = await sessions.startSession();
  const mistakes = [
    {
      text: "session.add('order.placed', { orderId: 'o-3', total: 'a lot' })",
      // @ts-expect-error: with a catalogue the compiler finds it first
      run: () => session.add('order.placed', { orderId: 'o-3', total: 'a lot' }),
    },
    {
      text: "session.add('order.plased', { orderId: 'o-3', total: 7 })",
      // @ts-expect-error: and this one too
      run: () => session.add('order.plased', { orderId: 'o-3', total: 7 }),
    },
    {
      text: "session(id).add('order.paid', …) after the commit",
      run: () => sessions.session(orderId).add('order.paid', { orderId: 'o-1', method: 'card' }),
    },
  ];

  const lines: Line[] = [];
  const errors: { code: string; message: string }[] = [];
  for (const { text, run } of mistakes) {
    const { code, message } = await refusalOf(run);
    errors.push({ code, message });
    lines.push(call(text), refusal(`${code}: ${message}`));
  }
  await session.rollback();
  return {
    step: 'refusals',
    title: 'Mistakes are told by code',
    lines: [...lines, note('The first two do not even compile: the catalogue types add().')],
    facts: { errors },
  };
};

async function refusalOf(run: () => Promise<unknown>) {
  try {
    await run();
  } catch (error) {
    if (isEventSessionsError(error)) return error;
    throw error;
  }
  throw new Error('expected a refusal');
}
