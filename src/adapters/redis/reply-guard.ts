/**
 * Reads what a server sends before ioredis does, and stops at the first thing that Redis never answers to us.
 *
 * ioredis believes every byte: a length of four billion is an exception out of a socket's event, which ends the process,
 * or an array without end; so is a reply that nobody has asked for, and it would be taken for the next command's. Any
 * server behind a mistyped port can do that.
 *
 * Only RESP2, which is what a client of ours speaks. The bytes within bulk strings are skipped, not looked at.
 */
export interface ReplyGuard {
  /** Why the connection must be given up, as soon as there is a reason. `asked`: commands that wait for their reply. */
  objectionTo(chunk: Buffer, asked: number): Error | undefined;
}

/** Bytes of a reply: as many as Redis takes for one value (`proto-max-bulk-len`). */
const MAX_REPLY_BYTES = 512 * 1_048_576;
/** Elements of a reply, those of arrays within it among them: as many as Redis takes for one command. */
const MAX_ELEMENTS = 1_048_576;
/** Arrays within arrays. The replies of the scripts have two levels. */
const MAX_DEPTH = 4;
/** Bytes of a line: a status, an error, a number. */
const MAX_LINE_BYTES = 65_536;

const CR = 0x0d;
const LF = 0x0a;
const MINUS = 0x2d;
const ZERO = 0x30;
const ARRAY = 0x2a;
const BULK = 0x24;
const INTEGER = 0x3a;
const STATUS = 0x2b;
const ERROR = 0x2d;

export function replyGuard(): ReplyGuard {
  /** Of the line that is being read: its type, what its digits say, and its bytes up to now. */
  let type = 0;
  let number = 0;
  let negative = false;
  let lineBytes = 0;
  let before = 0;
  /** Bytes of a bulk string that are still to come, with its line end. */
  let bulk = 0;
  /** Elements that are still to come, of each array around. */
  const open: number[] = [];
  let replyBytes = 0;
  let elements = 0;
  let replies = 0;

  function objectionToByte(byte: number): string | undefined {
    lineBytes += 1;
    const last = before;
    before = byte;
    if (lineBytes === 1) {
      type = byte;
      number = 0;
      negative = false;
      return isType(byte) ? undefined : `a reply of type ${JSON.stringify(String.fromCharCode(byte))}`;
    }
    if (lineBytes > MAX_LINE_BYTES) return 'a line without an end';
    if (last === CR) return byte === LF ? objectionToLine() : 'a broken line';
    if (byte === CR || type === STATUS || type === ERROR) return undefined;
    if (byte === MINUS && lineBytes === 2) {
      negative = true;
      return undefined;
    }
    const digit = byte - ZERO;
    if (digit < 0 || digit > 9) return 'a number that is none';
    number = number * 10 + digit;
    return undefined;
  }

  function objectionToLine(): string | undefined {
    replyBytes += lineBytes;
    lineBytes = 0;
    before = 0;
    if (type === BULK && !negative) {
      bulk = number + 2;
      replyBytes += bulk;
    } else if (type === ARRAY && !negative && number > 0) {
      elements += number;
      if (elements > MAX_ELEMENTS) return `a reply of ${elements} elements`;
      if (open.push(number) > MAX_DEPTH) return `arrays in more than ${MAX_DEPTH} levels`;
    } else {
      valueIsComplete();
    }
    return replyBytes > MAX_REPLY_BYTES ? `a reply of ${replyBytes} bytes` : undefined;
  }

  function valueIsComplete(): void {
    while (open.length > 0) {
      const left = (open.pop() as number) - 1;
      if (left > 0) {
        open.push(left);
        return;
      }
    }
    replies += 1;
    replyBytes = 0;
    elements = 0;
  }

  function objection(chunk: Buffer): string | undefined {
    for (let at = 0; at < chunk.length; ) {
      if (bulk > 0) {
        const taken = Math.min(bulk, chunk.length - at);
        at += taken;
        bulk -= taken;
        if (bulk === 0) valueIsComplete();
      } else {
        const found = objectionToByte(chunk[at] as number);
        if (found !== undefined) return found;
        at += 1;
      }
    }
    return undefined;
  }

  return {
    objectionTo(chunk, asked) {
      replies = 0;
      const found = objection(chunk) ?? (replies > asked ? 'a reply that nobody has asked for' : undefined);
      return found === undefined ? undefined : new Error(`this is no Redis, it sent ${found}`);
    },
  };
}

function isType(byte: number): boolean {
  return byte === BULK || byte === ARRAY || byte === INTEGER || byte === STATUS || byte === ERROR;
}
