import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { byteReader } from './byte-reader.js';

/**
 * What a double does with a request:
 *
 * - `acknowledge`: takes it and answers OK;
 * - `stall`: takes nothing and answers nothing, from then on, on this connection;
 * - `cut before`, `cut after`: ends the connection without having taken it, or having taken it but not answered;
 * - `cut in reply`: takes it and ends the connection half way through the OK;
 * - `{ error }`: takes nothing, answers with an error frame (`E_BAD_TOPIC …`) and ends the connection, as nsqd does.
 */
export type DoubleAction =
  | 'acknowledge'
  | 'stall'
  | 'cut before'
  | 'cut after'
  | 'cut in reply'
  | { error: string };

/** A PUB or MPUB as it came. */
export interface DoubleRequest {
  /** From 1, in the order in which the double accepted them. */
  readonly connection: number;
  readonly command: 'PUB' | 'MPUB';
  readonly topic: string;
  readonly bodies: readonly string[];
  /** Of the command's body. */
  readonly bytes: number;
}

export interface NsqdDouble {
  /** `host:port`, the same after `resume()`. */
  readonly tcp: string;
  /** What came, taken or not, in order. */
  readonly requests: readonly DoubleRequest[];
  /** What it took, in order. */
  readonly taken: readonly DoubleRequest[];
  /** The bodies it took. */
  bodies(topic?: string): string[];
  /** Every command line, as `1 IDENTIFY`: the number of the connection before it. */
  readonly commands: readonly string[];
  /** Connections it accepted so far, and those that are open now. */
  readonly accepted: number;
  readonly open: number;
  /** Decides about requests; a promise is a delay. Until told, it acknowledges. */
  onRequest: (request: DoubleRequest) => DoubleAction | Promise<DoubleAction>;
  /** Decides whether IDENTIFY is answered. Until told, it is. */
  onIdentify: (connection: number) => 'answer' | 'stall' | Promise<'answer' | 'stall'>;
  /** Sends a heartbeat on every open connection. */
  heartbeat(): void;
  /** Keeps the answers on every open connection back until it ends: then they arrive in one piece. */
  holdAnswers(): void;
  /** Ends every connection, in an orderly way (as nsqd does when it ends) or by a reset. */
  disconnect(how?: 'end' | 'reset'): void;
  /** Refuses connections and ends those there are, until `resume()`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
const RESPONSE = 0;
const ERROR = 1;

/** Enough of nsqd's protocol V2 for a producer, with faults on demand, which no real broker has. */
export async function startNsqdDouble(): Promise<NsqdDouble> {
  const requests: DoubleRequest[] = [];
  const taken: DoubleRequest[] = [];
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  let server = await listen(0);
  const { port } = server.address() as { port: number };

  async function listen(at: number): Promise<Server> {
    const listening = createServer(accept).listen(at, HOST);
    await once(listening, 'listening');
    return listening;
  }

  function accept(socket: Socket): void {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    // What it rejects with is the connection's end in the middle of something.
    serve(socket, accepted).catch(() => socket.destroy());
  }

  async function serve(socket: Socket, connection: number): Promise<never> {
    const input = byteReader(socket);
    const magic = (await input.take(4)).toString();
    if (magic !== '  V2') throw new Error(`bad magic ${magic}`);
    for (;;) {
      const line = await input.line();
      commands.push(`${connection} ${line}`);
      const [command, topic = ''] = line.split(' ');
      if (command === 'IDENTIFY') {
        await input.take((await input.take(4)).readInt32BE());
        if ((await double.onIdentify(connection)) === 'stall') return input.drain();
        socket.write(
          frame(RESPONSE, JSON.stringify({ max_rdy_count: 2500, version: '1.3.0', tls_v1: false })),
        );
      } else if (command === 'PUB' || command === 'MPUB') {
        const body = await input.take((await input.take(4)).readInt32BE());
        const bodies = command === 'PUB' ? [body.toString()] : messagesOf(body);
        const request = { connection, command, topic, bodies, bytes: body.length } as const;
        requests.push(request);
        if (!act(socket, request, await double.onRequest(request))) return input.drain();
      } else if (command !== 'NOP') {
        socket.end(frame(ERROR, `E_INVALID cannot ${command} in current state`));
        return input.drain();
      }
    }
  }

  /** Whether the connection goes on. */
  function act(socket: Socket, request: DoubleRequest, action: DoubleAction): boolean {
    if (typeof action === 'object') {
      socket.end(frame(ERROR, action.error));
      return false;
    }
    if (action === 'stall') return false;
    if (action !== 'cut before') taken.push(request);
    const ok = frame(RESPONSE, 'OK');
    if (action === 'cut before' || action === 'cut after') socket.resetAndDestroy();
    else if (action === 'cut in reply') socket.end(ok.subarray(0, 6));
    else socket.write(ok);
    return action === 'acknowledge';
  }

  const double: NsqdDouble = {
    tcp: `${HOST}:${port}`,
    requests,
    taken,
    commands,
    bodies: (topic) =>
      taken
        .filter((request) => topic === undefined || request.topic === topic)
        .flatMap(({ bodies }) => bodies),
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    onRequest: () => 'acknowledge',
    onIdentify: () => 'answer',
    heartbeat() {
      for (const socket of sockets) socket.write(frame(RESPONSE, '_heartbeat_'));
    },
    holdAnswers() {
      for (const socket of sockets) socket.cork();
    },
    disconnect(how = 'end') {
      for (const socket of sockets) {
        if (how === 'end') socket.destroySoon();
        else socket.resetAndDestroy();
      }
    },
    async pause() {
      const closed = once(server, 'close');
      server.close();
      double.disconnect();
      await closed;
    },
    async resume() {
      server = await listen(port);
    },
    async stop() {
      if (server.listening) await double.pause();
    },
  };
  return double;
}

function frame(type: number, text: string): Buffer {
  const data = Buffer.from(text);
  const head = Buffer.alloc(8);
  head.writeInt32BE(data.length + 4, 0);
  head.writeInt32BE(type, 4);
  return Buffer.concat([head, data]);
}

function messagesOf(body: Buffer): string[] {
  const messages: string[] = [];
  const count = body.readInt32BE(0);
  let offset = 4;
  for (let index = 0; index < count; index++) {
    const end = offset + 4 + body.readInt32BE(offset);
    messages.push(body.toString('utf8', offset + 4, end));
    offset = end;
  }
  if (offset !== body.length)
    throw new Error(`the sizes in an MPUB of ${body.length} bytes add up to ${offset}`);
  return messages;
}
