import { messageOf } from '../core/errors.js';
import { loggerOf } from '../core/safe-logger.js';
import { within } from '../core/within.js';
import type { EventSessions } from '../event-sessions.js';
import type { Logger } from '../ports/logger.js';
import { eventsController } from './events-controller.js';
import { metricsController, type PrometheusRegistry } from './metrics-controller.js';
import { openApiController } from './openapi-controller.js';
import { type HttpOptions, type RouteOptions, resolveHttpOptions } from './options.js';
import { HttpProblem, isOurFault, problemResponse } from './problem.js';
import type { Action, Route } from './route.js';

/** Answers a request. */
export type HttpHandler = (request: Request) => Promise<Response>;

const MAX_URL = 4_096;
const REFUSED_BY_DEFAULT: ReadonlySet<Action> = new Set(['list', 'recover', 'metrics']);

/** How long `authorize` may think. */
const AUTHORIZE_MS = 10_000;

/**
 * The routes on web-standard `Request` and `Response`. The handler never rejects: every error is a problem (RFC 9457).
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function createHttpHandler(sessions: EventSessions, options: HttpOptions = {}): HttpHandler {
  const answer = createRoutes(sessions, options);
  return (request) => answer(request, request);
}

/**
 * The same for a framework: `authorize` sees its own request, the original, and the URL of `request` begins behind
 * `mountedAt`.
 */
export function createRoutes<R>(
  sessions: EventSessions,
  options: RouteOptions<R> & Pick<HttpOptions, 'basePath'>,
): (request: Request, original: R, mountedAt?: string) => Promise<Response> {
  const resolved = resolveHttpOptions(options);
  const { basePath, authorize, prometheus, maxBodyBytes, bodyTimeoutMs } = resolved;
  const logger = loggerOf(resolved.logger);
  const routes = routesOf(prometheus).map((route) => ({ ...route, segments: route.path.split('/') }));
  const limits = { maxBodyBytes, bodyTimeoutMs };

  async function permit(original: R, action: Action | undefined, sessionId: string | undefined) {
    if (action === undefined) return;
    const late = `authorize gave no answer within ${AUTHORIZE_MS} ms`;
    const answer = await within(AUTHORIZE_MS, ask(original, action, sessionId), late);
    if (answer instanceof Response) throw new Refusal(answer);
    if (!answer) throw new HttpProblem('FORBIDDEN', 'This is not allowed');
  }

  async function ask(original: R, action: Action, sessionId: string | undefined) {
    if (authorize === undefined) return !REFUSED_BY_DEFAULT.has(action);
    const answer = await authorize(original, action, sessionId);
    return answer instanceof Response ? copyOf(answer) : answer === true;
  }

  async function answer(request: Request, original: R, mountedAt: string): Promise<Response> {
    if (request.url.length > MAX_URL)
      throw new HttpProblem('URL_TOO_LONG', `A URL may have ${MAX_URL} characters`);
    const { pathname, searchParams: query } = new URL(request.url);
    const path = pathname.startsWith(`${basePath}/`) ? pathname.slice(basePath.length).split('/') : [];
    const found = routes.filter(({ segments }) => matches(segments, path));
    if (found.length === 0) throw new HttpProblem('NOT_FOUND', 'There is nothing here');
    const allow = allowed(found);
    if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: { allow } });
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const route = found.find((candidate) => candidate.method === method);
    if (route === undefined) throw new HttpProblem('METHOD_NOT_ALLOWED', `Allowed: ${allow}`, { allow });
    const sessionId = path[route.segments.indexOf('{id}')] ?? '';
    return route.handle({
      request,
      mountedAt,
      query,
      sessionId,
      sessions,
      limits,
      permit: (id) => permit(original, route.action, id),
    });
  }

  return async (request, original, mountedAt = basePath) => {
    const response = await answer(request, original, mountedAt).catch((error: unknown) =>
      error instanceof Refusal ? error.response : answerTo(error, logger),
    );
    return request.method === 'HEAD' ? headOf(response) : response;
  };
}

export function routesOf(prometheus?: PrometheusRegistry): readonly Route[] {
  return [...eventsController, ...metricsController(prometheus), ...openApiController];
}

/** What an error is answered with. Of what is not the caller's fault the operator hears more. */
export function answerTo(error: unknown, logger: Logger): Response {
  if (isOurFault(error)) logger.error('An HTTP request failed', { cause: messageOf(error) });
  return problemResponse(error);
}

/** With the length that the body would have: where none is said, Fastify says 0. */
async function headOf(response: Response): Promise<Response> {
  const { byteLength } = await response.arrayBuffer();
  const head = new Response(null, response);
  head.headers.set('content-length', `${byteLength}`);
  return head;
}

/** Thrown for what `authorize` answers in its own words. */
class Refusal extends Error {
  constructor(readonly response: Response) {
    super('authorize has answered');
  }
}

/** Reads it at once: of one that was answered before there is no body any more, and that is an error of who made it. */
export async function copyOf(response: Response): Promise<Response> {
  return new Response(response.body && (await response.arrayBuffer()), response);
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length === path.length && pattern.every((part, i) => part === '{id}' || part === path[i]);
}

function allowed(routes: readonly Route[]): string {
  const methods: string[] = routes.map(({ method }) => method);
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ');
}
