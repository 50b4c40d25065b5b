import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, test } from 'vitest';
import { eventsController } from '../../src/http/events-controller.js';
import { metricsController } from '../../src/http/metrics-controller.js';
import { openApiDocument } from '../../src/http/openapi.js';
import { openApiController } from '../../src/http/openapi-controller.js';
import { STATUS } from '../../src/http/problem.js';
import { CASES, type Case, GUARDED, OPEN, services, TOO_LONG, withBody } from './operation-cases.js';

const REWRITE = 'npx vitest run test/http/openapi.test.ts --update';

const document = openApiDocument();

test('it is valid OpenAPI 3.1', async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
});

test('docs/openapi.json is what the code says', async () => {
  const text = `${JSON.stringify(document, null, 2)}\n`;
  await expect(text, `stale; this rewrites it: ${REWRITE}`).toMatchFileSnapshot('../../docs/openapi.json');
});

test('it has the version of the package, and the place where the routes are mounted', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(document.info.version).toBe(version);
  expect(openApiDocument('/events').servers).toEqual([{ url: '/events' }]);
});

test('it has every route and nothing else', () => {
  const routes = [...eventsController, ...metricsController(undefined), ...openApiController];
  const told = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(told.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});

interface Media {
  readonly schema: { readonly properties?: { readonly code: { readonly enum: readonly string[] } } };
}
interface Operation {
  readonly operationId: string;
  readonly requestBody?: object;
  readonly responses: Readonly<
    Record<string, { readonly headers?: object; readonly content: Record<string, Media> }>
  >;
}

const PROBLEM = 'application/problem+json';

/** Statuses, and codes of problems. */
const toldBy = ({ responses }: Operation) =>
  Object.entries(responses).flatMap(
    ([status, { content }]) => content[PROBLEM]?.schema.properties?.code.enum ?? [status],
  );

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, told]) => {
    const operation = told as unknown as Operation;
    const cases: readonly Case[] = [
      ...(CASES[operation.operationId] ?? []),
      TOO_LONG,
      ...(toldBy(operation).includes('FORBIDDEN') ? GUARDED : []),
      ...(operation.requestBody === undefined ? [] : withBody()),
    ];
    return { method, path, operation, cases };
  }),
);

const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(complete(document), 'document');

/** Later versions may answer with more than the document tells. This one may not. */
function complete(told: typeof document): object {
  const copy = structuredClone(told);
  const close = (schema: unknown) => {
    if (typeof schema !== 'object' || schema === null) return;
    if ('properties' in schema && !('additionalProperties' in schema))
      Object.assign(schema, { additionalProperties: false });
    Object.values(schema).forEach(close);
  };
  Object.values(copy.components.schemas).forEach(close);
  return copy;
}

/** What is wrong with a value by the schema at this place of the document. */
function mistakes(place: readonly string[], value: unknown) {
  const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')));
  const validate = ajv.compile({ $ref: `document#/${pointer.join('/')}/schema` });
  return validate(value) ? [] : validate.errors;
}

const mediaTypeOf = (headers: Headers) => headers.get('content-type')?.split(';', 1)[0] ?? '';

const titleOf = ({ gives, on = 'working', ...request }: Case) =>
  `${gives}, ${on}: ${JSON.stringify(request).slice(0, 80)}`;

for (const { method, path, operation, cases } of operations)
  describe(operation.operationId, () => {
    const place = ['paths', path, method];

    for (const given of cases)
      it(`answers ${titleOf(given)}`, async () => {
        const { gives, on = 'working', id = OPEN, query = '', body } = given;
        const raw = typeof body === 'string' || body instanceof ReadableStream;
        const headers = new Headers(given.headers);
        if (body !== undefined && !headers.has('content-type'))
          headers.set('content-type', 'application/json');
        const request = new Request(`http://localhost${path.replace('{id}', id)}${query}`, {
          method: method.toUpperCase(),
          headers,
          ...(body !== undefined && { body: raw ? body : JSON.stringify(body), duplex: 'half' }),
        });
        const response = await services[on](request);
        const type = mediaTypeOf(response.headers);
        const answer: unknown = type.endsWith('json') ? await response.json() : await response.text();

        const status = typeof gives === 'number' ? gives : STATUS[gives];
        expect(response.status, JSON.stringify(answer)).toBe(status);
        if (typeof gives === 'string') expect(answer).toMatchObject({ status, code: gives });
        const told = operation.responses[status];
        expect(Object.keys(told?.content ?? {})).toContain(type);
        expect(mistakes([...place, 'responses', `${status}`, 'content', type], answer)).toEqual([]);

        const retryAfter = response.headers.get('retry-after');
        expect(retryAfter !== null).toBe(
          gives === 'COMMIT_IN_PROGRESS' || (type === PROBLEM && status === 503),
        );
        if (retryAfter !== null) {
          expect(told?.headers).toHaveProperty('Retry-After');
          expect(mistakes(['components', 'headers', 'RetryAfter'], Number(retryAfter))).toEqual([]);
        }

        const challenge = response.headers.get('www-authenticate');
        expect(challenge !== null).toBe(status === 401);
        if (challenge !== null) {
          expect(told?.headers).toHaveProperty('WWW-Authenticate');
          expect(mistakes(['components', 'headers', 'WwwAuthenticate'], challenge)).toEqual([]);
        }

        const accepted = response.headers.get('accept-encoding');
        expect(accepted !== null).toBe(headers.has('content-encoding'));
        if (accepted !== null) {
          expect(told?.headers).toHaveProperty('Accept-Encoding');
          expect(mistakes(['components', 'headers', 'AcceptEncoding'], accepted)).toEqual([]);
        }

        if (body !== undefined && !raw) {
          const wrong = mistakes([...place, 'requestBody', 'content', mediaTypeOf(headers)], body);
          if (gives === 'INVALID_INPUT') expect(wrong).not.toEqual([]);
          else expect(wrong).toEqual([]);
        }
      });

    it('has a case for everything that it is told to answer', () => {
      expect(CASES).toHaveProperty(operation.operationId);
      const told = new Set(toldBy(operation));
      // Behind a route that asks for no permission lies nothing that a test could make fail.
      if (!told.has('FORBIDDEN')) told.delete('INTERNAL_ERROR');
      expect(new Set(cases.map(({ gives }) => `${gives}`))).toEqual(told);
    });
  });
