/**
 * Reads what an nsqd sends before nsqjs does, and stops at the first thing that a producer must never get or cannot use.
 *
 * nsqjs believes every byte: a frame size below 4 or an IDENTIFY answer that isn't JSON ends the process with an
 * exception out of a socket's event, a large size makes it collect whatever comes, without end, an acknowledgement of
 * nothing is kept for the next message. Any server behind a mistyped port can do that.
 */
export interface FrameGuard {
  /** A command has been written that must be answered once. */
  expectAnswer(): void;
  /** Why the connection must be given up, as soon as there is a reason. */
  objectionTo(data: Buffer): Error | undefined;
}

/** Bytes of the largest frame for a producer. An answer to IDENTIFY has about 500, an error names a topic. */
const MAX_FRAME_BYTES = 65_536;
/** Heartbeats within a second: nsqd sends one every 30 s, and each has to be answered. */
const MAX_HEARTBEATS = 10;
const SIZE_BYTES = 4;
const TYPE_BYTES = 4;
const RESPONSE = 0;
const ERROR = 1;

export function frameGuard(): FrameGuard {
  let rest: Buffer = Buffer.alloc(0);
  let identified = false;
  let expected = 0;
  let heartbeats = 0;
  let heartbeatsSince = 0;

  function objectionToFrame(type: number, payload: string): string | undefined {
    if (type === ERROR) return undefined;
    if (type !== RESPONSE) return noNsqd(`a frame of type ${type}`);
    if (payload === '_heartbeat_') {
      const now = performance.now();
      if (now - heartbeatsSince > 1_000) {
        heartbeats = 0;
        heartbeatsSince = now;
      }
      heartbeats += 1;
      return heartbeats > MAX_HEARTBEATS ? noNsqd('a flood of heartbeats') : undefined;
    }
    if (!identified) {
      identified = true;
      return objectionToIdentity(payload);
    }
    if (payload !== 'OK') return noNsqd(`the answer ${JSON.stringify(payload.slice(0, 40))}`);
    expected -= 1;
    return expected < 0 ? noNsqd('an acknowledgement of nothing') : undefined;
  }

  function objection(): string | undefined {
    while (rest.length >= SIZE_BYTES) {
      const size = rest.readInt32BE(0);
      if (size < TYPE_BYTES || size > MAX_FRAME_BYTES) return noNsqd(`a frame of ${size} bytes`);
      const end = SIZE_BYTES + size;
      if (rest.length < end) return undefined;
      const type = rest.readInt32BE(SIZE_BYTES);
      const found = objectionToFrame(type, rest.toString('utf8', SIZE_BYTES + TYPE_BYTES, end));
      if (found !== undefined) return found;
      rest = rest.subarray(end);
    }
    return undefined;
  }

  return {
    expectAnswer() {
      expected += 1;
    },
    objectionTo(data) {
      rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
      const found = objection();
      return found === undefined ? undefined : new Error(found);
    },
  };
}

const noNsqd = (sent: string) => `this is no nsqd, it sent ${sent}`;

/** nsqd answers features that were not asked for with false. */
function objectionToIdentity(payload: string): string | undefined {
  if (payload === 'OK') return undefined;
  const answer = parsed(payload);
  if (answer === undefined || answer.tls_v1 || answer.deflate || answer.snappy) {
    return noNsqd('no answer to IDENTIFY that it could mean');
  }
  return answer.auth_required ? 'it wants AUTH, which nsqPublisher does not do' : undefined;
}

function parsed(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
