import { preferenceFor } from './accept.js';
import { HttpProblem, NO_STORE } from './problem.js';
import { type Call, jsonResponse, type Route } from './route.js';

/** A prom-client `Registry` fits as it is. */
export interface PrometheusRegistry {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** What an operator and an orchestrator ask for. */
export function metricsController(registry: PrometheusRegistry | undefined): readonly Route[] {
  async function metrics({ request, sessions, permit }: Call): Promise<Response> {
    await permit();
    const accept = request.headers.get('accept');
    const json = preferenceFor('application/json', accept);
    if (registry !== undefined) {
      const text = preferenceFor(registry.contentType.split(';', 1)[0] ?? '', accept);
      if (text > 0 && text >= json)
        return new Response(await registry.metrics(), {
          headers: { 'content-type': registry.contentType, ...NO_STORE },
        });
    }
    if (json === 0) throw new HttpProblem('NOT_ACCEPTABLE', 'There is nothing of the types in Accept');
    return jsonResponse(200, await sessions.metrics());
  }

  return [
    { method: 'GET', path: '/metrics', action: 'metrics', handle: metrics },
    { method: 'GET', path: '/health/live', handle: async () => jsonResponse(200, { status: 'ok' }) },
    { method: 'GET', path: '/health/ready', handle: ready },
  ];
}

/** Ready as long as something takes events. Why a part is down stays inside: it may name hosts. */
async function ready({ sessions }: Call): Promise<Response> {
  const { status, store, contingency } = await sessions.health();
  const accepts = store.status === 'up' || contingency.status === 'up';
  return jsonResponse(accepts ? 200 : 503, { status: accepts ? status : 'down' });
}
