import type { AddReceipt } from 'event-sessions';
import { eventSessionsRouter } from 'event-sessions/express';
import type { HttpOptions } from 'event-sessions/http';
import express, { type Express, type Response } from 'express';
import { authenticate, type ShopRequest, unauthorized, userOf } from './authentication.js';
import { createOwners } from './owners.js';
import { HttpError, problemHandler, problemResponse } from './problem.js';
import type { ShopSessions } from './shop-events.js';

export interface AppOptions {
  /** Where errors of the 5xx kind go. Default: the console. */
  readonly log?: (message: string, error: unknown) => void;
  /** Who shows it as `Authorization: Bearer …` may do everything below `/events`. Default: nobody. */
  readonly operatorToken?: string | undefined;
  /** A registry of prom-client, for `GET /events/metrics`. */
  readonly prometheus?: HttpOptions['prometheus'];
}

/** The shop, without a port: one request opens a checkout, others fill it, the last one places or abandons it. */
export function createApp(sessions: ShopSessions, options: AppOptions = {}): Express {
  const { log = console.error, operatorToken, prometheus } = options;
  const owners = createOwners(sessions);
  const app = express();
  app.disable('x-powered-by');

  app.get('/health', async (_request, response) => {
    const { status, store, publisher, contingency } = await sessions.health();
    response.status(status === 'down' ? 503 : 200).json({
      status,
      store: store.status,
      publisher: publisher.status,
      contingency: contingency.status,
    });
  });

  app.use(authenticate(operatorToken));

  // What is no business of a shop: for users the events and the history of their own checkouts, for operators everything.
  app.use(
    '/events',
    eventSessionsRouter(sessions, {
      prometheus,
      async authorize({ user, isOperator }: ShopRequest, action, id) {
        if (isOperator) return true;
        if (user === undefined) return problemResponse(unauthorized());
        if (id === undefined || (action !== 'status' && action !== 'events')) return false;
        await owners.check(id, user);
        return true;
      },
    }),
  );

  app.use(express.json());

  app.post('/checkouts', async (request, response) => {
    const user = userOf(request);
    const { sessionId, deferred } = await sessions.commands.startSession({ metadata: { user } });
    owners.remember(sessionId, user);
    response
      .status(deferred ? 202 : 201)
      .location(`/checkouts/${sessionId}`)
      .json({ id: sessionId, status: 'open', deferred });
  });

  app.get('/checkouts/:id', async (request, response) => {
    const { status, events, published, deferred, createdAt, expiresAt } = await (
      await checkoutOf(request)
    ).status();
    response.json({ id: request.params.id, status, events, published, deferred, createdAt, expiresAt });
  });

  app.post('/checkouts/:id/items', async (request, response) => {
    const checkout = await checkoutOf(request);
    sendAdded(response, await checkout.add('item.added', request.body, { id: idempotencyKey(request) }));
  });

  app.post('/checkouts/:id/address', async (request, response) => {
    const checkout = await checkoutOf(request);
    sendAdded(response, await checkout.add('address.given', request.body, { id: idempotencyKey(request) }));
  });

  app.post('/checkouts/:id/payment', async (request, response) => {
    const checkout = await checkoutOf(request);
    sendAdded(response, await checkout.add('payment.chosen', request.body, { id: idempotencyKey(request) }));
  });

  app.post('/checkouts/:id/commit', async (request, response) => {
    const checkout = await checkoutOf(request);
    const receipt = await checkout.commit({ expectedEvents: request.body?.expectedEvents });
    const settled = receipt.status === 'committed' && receipt.deferred === 0;
    response.status(settled ? 200 : 202).json(receipt);
  });

  app.post('/checkouts/:id/rollback', async (request, response) => {
    const checkout = await checkoutOf(request);
    const receipt = await checkout.rollback({ reason: request.body?.reason });
    response.status(receipt.deferred ? 202 : 200).json(receipt);
  });

  app.use((request) => {
    throw new HttpError(404, `There is no ${request.method} ${request.path}`);
  });
  app.use(problemHandler(log));
  return app;

  async function checkoutOf(request: ShopRequest<{ id: string }>) {
    const { id } = request.params;
    await owners.check(id, userOf(request));
    return sessions.session(id);
  }
}

/** The client's key becomes the event's id: a request that is sent twice is one event. */
function idempotencyKey(request: ShopRequest): string | undefined {
  return request.get('idempotency-key');
}

function sendAdded(response: Response, { eventId, duplicate, deferred }: AddReceipt): void {
  response.status(deferred ? 202 : duplicate ? 200 : 201).json({ eventId, duplicate, deferred });
}
