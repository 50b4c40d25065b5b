import { connect } from 'node:net';
import { parseNsqdAddress } from '../../adapters/nsq/nsqd-address.js';
import { messageOf } from '../../core/errors.js';
import { within } from '../../core/within.js';

const DEADLINE_MS = 3_000;
const MAGIC = '  V2';
const ERROR_FRAME = 1;
/** A size that no nsqd takes. It answers with the one that it takes, before anything has been sent. */
const TOO_LARGE = 0x7fff_ffff;

/** What one nsqd tells of itself over its TCP protocol. Nothing is published, and no topic comes into being. */
export interface NsqdFacts {
  readonly version: string;
  readonly authRequired: boolean;
  readonly tlsRequired: boolean;
  /** `--max-msg-size`; undefined if it did not say. */
  readonly maxMessageBytes: number | undefined;
  /** `--max-body-size`. */
  readonly maxRequestBytes: number | undefined;
}

/** Rejects if it cannot be reached, or is no nsqd. */
export async function probeNsqd(address: string): Promise<NsqdFacts> {
  const identify = JSON.stringify({ client_id: 'event-sessions doctor', feature_negotiation: true });
  const hello = await exchange(address, 'IDENTIFY\n', identify.length, identify);
  let features: { version?: unknown; auth_required?: unknown };
  try {
    features = JSON.parse(hello.text);
  } catch {
    throw new Error('it does not answer as an nsqd does');
  }
  const body = await exchange(address, 'IDENTIFY\n', TOO_LARGE);
  const message = await exchange(address, 'PUB event-sessions-doctor\n', TOO_LARGE);
  return {
    version: String(features.version ?? 'unknown'),
    authRequired: features.auth_required === true,
    tlsRequired: /TLS required/i.test(message.text),
    maxMessageBytes: limitIn(message),
    maxRequestBytes: limitIn(body),
  };
}

/** `E_BAD_MESSAGE PUB message too big 2147483647 > 1048576` */
function limitIn({ type, text }: Frame): number | undefined {
  const limit = type === ERROR_FRAME ? /too big \d+ > (\d+)/.exec(text)?.[1] : undefined;
  return limit === undefined ? undefined : Number(limit);
}

interface Frame {
  readonly type: number;
  readonly text: string;
}

/** Sends one command over a connection of its own and answers the first frame that comes back. */
async function exchange(address: string, command: string, size: number, body = ''): Promise<Frame> {
  const parsed = parseNsqdAddress(address);
  if (parsed === undefined) throw new Error(`${address} is not an address`);
  const socket = connect(parsed.port, parsed.host);
  try {
    return await within(
      DEADLINE_MS,
      new Promise<Frame>((resolve, reject) => {
        let received = Buffer.alloc(0);
        socket.on('error', (error) =>
          reject(new Error(messageOf(error) || (error as NodeJS.ErrnoException).code)),
        );
        socket.on('close', () => reject(new Error('it closed the connection')));
        socket.on('data', (chunk) => {
          received = Buffer.concat([received, chunk]);
          const frame = firstFrame(received);
          if (frame !== undefined) resolve(frame);
          else if (received.length > 1_048_576) reject(new Error('it does not answer as an nsqd does'));
        });
        const length = Buffer.alloc(4);
        length.writeUInt32BE(size);
        socket.write(Buffer.concat([Buffer.from(MAGIC + command), length, Buffer.from(body)]));
      }),
    );
  } finally {
    socket.destroy();
  }
}

function firstFrame(received: Buffer): Frame | undefined {
  if (received.length < 8) return undefined;
  const size = received.readUInt32BE(0);
  if (received.length < 4 + size) return undefined;
  return { type: received.readUInt32BE(4), text: received.subarray(8, 4 + size).toString('utf8') };
}
