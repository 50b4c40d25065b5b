import type { IncomingMessage, ServerResponse } from 'node:http';
import { loggerOf } from '../core/safe-logger.js';
import { answerTo, copyOf, type HttpHandler } from './handler.js';
import { HttpProblem, problemResponse } from './problem.js';

/** How long the rest of a body that was refused is thrown away, so that the caller gets to read the answer. */
const LINGER_MS = 2_000;
/** Those that a web-standard Request cannot have. */
const FOREIGN_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

/** A request of node:http, also as Express passes it on. */
export interface NodeRequest extends IncomingMessage {
  /** What a middleware such as `express.json()` has made of the body. */
  readonly body?: unknown;
  /** Where Express has mounted the listener. */
  readonly baseUrl?: string | undefined;
}

/** A listener for `createServer` of node:http, or for `app.use` of Express. */
export type NodeListener<R extends NodeRequest = NodeRequest> = (
  incoming: R,
  outgoing: ServerResponse,
) => Promise<void>;

/** A handler, or one that wraps it, as a listener for `createServer` of node:http. It never rejects. */
export function nodeListener(handler: HttpHandler): NodeListener {
  const logger = loggerOf(undefined);
  const answer: HttpHandler = async (request) => {
    try {
      return await copyOf(await handler(request));
    } catch (error) {
      return answerTo(error, logger);
    }
  };
  return async (incoming, outgoing) => sendNode(await answerNode(answer, incoming), outgoing);
}

/** Answers a request of node:http, to `url`. Never rejects. */
export async function answerNode(
  handler: HttpHandler,
  incoming: NodeRequest,
  url = incoming.url ?? '',
): Promise<Response> {
  let request: Request;
  try {
    request = toRequest(incoming, url);
  } catch (error) {
    discardRest(incoming);
    const problem = new HttpProblem('INVALID_INPUT', 'This is not a request that can be read');
    return problemResponse(error instanceof HttpProblem ? error : problem);
  }
  const response = await handler(request);
  // Who reads the body and stops has cancelled it; one that nobody has read would hold up the connection.
  if (request.body?.locked === false) await request.body.cancel().catch(() => {});
  if (!incoming.readableEnded) discardRest(incoming);
  return response;
}

export async function sendNode(response: Response, outgoing: ServerResponse): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  // A middleware with a time limit may have answered meanwhile.
  if (outgoing.headersSent) return;
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') outgoing.appendHeader(name, value);
    else outgoing.setHeader(name, value);
  }
  outgoing.end(body);
}

function toRequest(incoming: NodeRequest, url: string): Request {
  const { method = 'GET' } = incoming;
  if (FOREIGN_METHODS.has(method))
    throw new HttpProblem('METHOD_NOT_ALLOWED', `${method} is not allowed`, {
      allow: 'GET, HEAD, POST, OPTIONS',
    });
  if (!url.startsWith('/')) throw new HttpProblem('INVALID_INPUT', 'The target of a request is a path');
  // Prefixed as text: resolved against a base, `//x/y` would name a host.
  const target = new URL(`http://localhost${url}`);
  // Without `..` and `\`, which it resolves: what guards a path in front of the routes has seen them as they came.
  if (target.pathname !== url.split(/[?#]/, 1)[0])
    throw new HttpProblem('NOT_FOUND', 'There is nothing here');
  const headers = new Headers();
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    const name = incoming.rawHeaders[i] as string;
    // HTTP/2 has some that begin with a colon.
    if (!name.startsWith(':')) headers.append(name, incoming.rawHeaders[i + 1] as string);
  }
  const init: RequestInit = { method, headers };
  if (method !== 'GET' && method !== 'HEAD')
    Object.assign(init, { body: bodyOf(incoming, headers), duplex: 'half' });
  return new Request(target, init);
}

/** A middleware may have read the stream; an object in `body` alone does not say so (Express 4 has one anyway). */
function bodyOf(
  incoming: NodeRequest,
  headers: Headers,
): string | Uint8Array | ReadableStream<Uint8Array> | null {
  if (!incoming.readableDidRead && !incoming.readableEnded) return streamOf(incoming);
  const { body } = incoming;
  headers.delete('content-length');
  headers.delete('content-encoding');
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) return body ?? null;
  return JSON.stringify(body);
}

/** Unlike `Readable.toWeb`, to cancel it leaves the socket alone, over which the answer has to go. */
function streamOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  let leave = () => {};
  return new ReadableStream({
    start(controller) {
      // Nothing is said any more by one that is gone already.
      if (incoming.destroyed) return controller.error(new Error('The connection is closed'));
      const onData = (chunk: Uint8Array) => {
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      };
      const onEnd = () => controller.close();
      const onError = (error: Error) => controller.error(error);
      incoming.on('data', onData).on('end', onEnd).on('error', onError).pause();
      leave = () => {
        incoming.off('data', onData).off('end', onEnd).off('error', onError);
      };
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      leave();
    },
  });
}

/**
 * To close the connection at once would take back the answer from a caller that is still sending. Who has sent all of
 * it by then may go on using the connection.
 */
function discardRest(incoming: IncomingMessage): void {
  const timer = setTimeout(() => incoming.destroy(), LINGER_MS).unref();
  const stop = () => clearTimeout(timer);
  incoming.on('error', stop).on('end', stop).resume();
}
