import * as z from 'zod/mini';
import { type StartSessionInput, startSessionSchema } from '../commands/start-session.js';
import type { ActiveStatus } from '../core/lifecycle.js';
import { validate } from '../core/validate.js';
import { readJson } from './body.js';
import { eventsOf, idFrom, keyOf, mediaTypeOf, requireEventsType, requireType } from './event-body.js';
import { HttpProblem } from './problem.js';
import { fromCursor, numberOf, pageOf, toCursor } from './query.js';
import { type Call, jsonResponse, type Route } from './route.js';

/** Sessions and their events. */
export const eventsController: readonly Route[] = [
  { method: 'POST', path: '/sessions', action: 'start', handle: start },
  { method: 'GET', path: '/sessions', action: 'list', handle: list },
  { method: 'GET', path: '/sessions/{id}', action: 'status', handle: status },
  { method: 'POST', path: '/sessions/{id}/events', action: 'add', handle: add },
  { method: 'GET', path: '/sessions/{id}/events', action: 'events', handle: events },
  { method: 'POST', path: '/sessions/{id}/commit', action: 'commit', handle: commit },
  { method: 'POST', path: '/sessions/{id}/rollback', action: 'rollback', handle: rollback },
  { method: 'POST', path: '/recover', action: 'recover', handle: recover },
];

/** A hook is asked about nothing but ids. */
const ownId = z.object({ sessionId: startSessionSchema.shape.sessionId });

async function start(call: Call): Promise<Response> {
  const key = keyOf(call.request);
  const input = (await objectOf(call)) as StartSessionInput;
  const own = validate(ownId, input, 'startSession').sessionId;
  const sessionId = own ?? (key === undefined ? undefined : idFrom(key));
  // The hook sees whose session a chosen id would open.
  await call.permit(sessionId);
  const receipt = await call.sessions.commands.startSession({ ...input, sessionId });
  return jsonResponse(receipt.deferred ? 202 : receipt.created ? 201 : 200, receipt);
}

async function list({ sessions, query, permit }: Call): Promise<Response> {
  await permit();
  const { status, cursor, limit } = pageOf(query, ['status', 'cursor', 'limit']);
  const page = await sessions.queries.listSessions({
    status: status as ActiveStatus | undefined,
    cursor: fromCursor(cursor),
    limit: numberOf(limit),
  });
  return jsonResponse(200, { sessions: page.sessions, next: toCursor(page.cursor) });
}

async function status({ sessions, sessionId, permit }: Call): Promise<Response> {
  await permit(sessionId);
  return jsonResponse(200, await sessions.queries.getSessionStatus({ sessionId }));
}

async function add({ request, sessions, sessionId, limits, permit }: Call): Promise<Response> {
  await permit(sessionId);
  const type = requireEventsType(request);
  const key = keyOf(request);
  const input = eventsOf(type, await readJson(request, limits), key);
  const receipt = await sessions.commands.addEvents({ sessionId, events: input });
  return jsonResponse(receipt.deferred ? 202 : 200, receipt);
}

async function events({ sessions, sessionId, query, permit }: Call): Promise<Response> {
  await permit(sessionId);
  const { cursor, limit } = pageOf(query, ['cursor', 'limit']);
  const after = numberOf(fromCursor(cursor));
  const page = await sessions.queries.getSessionEvents({ sessionId, after, limit: numberOf(limit) });
  return jsonResponse(200, { events: page.events, next: toCursor(page.next?.toString()) });
}

async function commit(call: Call): Promise<Response> {
  await call.permit(call.sessionId);
  const input = await objectOf(call, ['expectedEvents']);
  const receipt = await call.sessions.commands.commitSession({ ...input, sessionId: call.sessionId });
  const done = receipt.status === 'committed' && receipt.deferred === 0;
  return jsonResponse(done ? 200 : 202, receipt);
}

async function rollback(call: Call): Promise<Response> {
  await call.permit(call.sessionId);
  const input = await objectOf(call, ['reason']);
  const receipt = await call.sessions.commands.rollbackSession({ ...input, sessionId: call.sessionId });
  return jsonResponse(receipt.deferred ? 202 : 200, receipt);
}

async function recover({ sessions, permit }: Call): Promise<Response> {
  await permit();
  const report = await sessions.recover();
  return jsonResponse(report.complete ? 200 : 202, report);
}

/** The object in the body; none is as good as an empty one. */
async function objectOf({ request, limits }: Call, known?: readonly string[]): Promise<object> {
  if (mediaTypeOf(request) !== '') requireType(request, ['application/json']);
  const body = (await readJson(request, limits)) ?? {};
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new HttpProblem('INVALID_INPUT', 'The body is not an object');
  const foreign = known && Object.keys(body).some((key) => !known.includes(key));
  if (foreign) throw new HttpProblem('INVALID_INPUT', `The body may have: ${known.join(', ')}`);
  return body;
}
