import { once } from 'node:events';
import { connect } from 'node:net';
import type { CloudEvent } from 'event-sessions';
import { byteReader } from '../support/byte-reader.js';
import type { RunningNsqd } from '../support/nsqd.js';
import type { Message } from './observations.js';

const CHANNEL = 'checker';
const RESPONSE = 0;
const MESSAGE = 2;
/** Milliseconds without a message after which a topic whose depth is 0 counts as read. */
const SILENCE_MS = 700;
const READY = 1_000;

export interface DrainOptions {
  /** Bodies that are none of ours: left out. */
  readonly ignore?: (body: string) => boolean;
  /** Milliseconds that a topic may take. Default 60,000. */
  readonly withinMs?: number;
}

/**
 * Everything that a nsqd has, with the time at which it took each message. nsqd's `depth` tells too little after a
 * kill -9, so a topic counts as read when it has also been silent for a while.
 */
export async function drain(
  nsqd: Pick<RunningNsqd, 'tcp' | 'http'>,
  topics: readonly string[],
  options: DrainOptions = {},
): Promise<Message[]> {
  const drained = await Promise.all(topics.map((topic) => drainTopic(nsqd, topic, options)));
  return drained.flat();
}

async function drainTopic(
  { tcp, http }: Pick<RunningNsqd, 'tcp' | 'http'>,
  topic: string,
  { ignore = () => false, withinMs = 60_000 }: DrainOptions,
): Promise<Message[]> {
  const messages: Message[] = [];
  const [host, port] = tcp.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`  V2SUB ${topic} ${CHANNEL}\nRDY ${READY}\n`);
  let last = Date.now();

  const reading = (async () => {
    const reader = byteReader(socket);
    for (;;) {
      const size = (await reader.take(4)).readUInt32BE();
      const frame = await reader.take(size);
      const type = frame.readUInt32BE();
      const body = frame.subarray(4);
      if (type === RESPONSE) {
        if (body.toString() === '_heartbeat_') socket.write('NOP\n');
        continue;
      }
      if (type !== MESSAGE) throw new Error(`nsqd ${tcp} ${topic}: ${body}`);
      last = Date.now();
      const text = body.subarray(26).toString();
      if (!ignore(text)) messages.push(toMessage(topic, body.readBigInt64BE(), text));
      socket.write(`FIN ${body.subarray(10, 26)}\n`);
    }
  })();
  reading.catch(() => {});

  const deadline = Date.now() + withinMs;
  try {
    for (;;) {
      await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 100))]);
      if (Date.now() - last > SILENCE_MS && (await depthOf(http, topic)) === 0) return messages;
      if (Date.now() > deadline) throw new Error(`${topic} of ${tcp} was not read within ${withinMs} ms`);
    }
  } finally {
    socket.destroy();
  }
}

function toMessage(topic: string, timestamp: bigint, text: string): Message {
  const event = JSON.parse(text) as CloudEvent<{ tag: string }>;
  const { id, sessionid, sequence, data } = event;
  return { topic, timestamp, sessionId: sessionid, id, sequence: Number(sequence), tag: data.tag };
}

/** Messages that nsqd believes to have, in flight ones included. 0 for a topic that it does not know. */
async function depthOf(http: string, topic: string): Promise<number> {
  const response = await fetch(`http://${http}/stats?format=json&topic=${topic}`);
  const { topics } = (await response.json()) as {
    topics: { depth: number; channels: { depth: number; in_flight_count: number }[] }[];
  };
  return topics.reduce(
    (sum, { depth, channels }) =>
      sum +
      channels.reduce((all, channel) => all + channel.depth + channel.in_flight_count, Math.max(0, depth)),
    0,
  );
}
