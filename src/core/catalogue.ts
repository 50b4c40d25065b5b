import { types } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { EventSessionsError, isEventSessionsError } from './errors.js';
import { describe, issuesOf } from './validate.js';

/** What is known of an event type: the schema of its data (any Standard Schema library), alone or with a topic. */
export type CatalogueEntry =
  | StandardSchemaV1
  | { readonly schema: StandardSchemaV1; readonly topic?: string | undefined };

/** Event types and the schemas of their data. */
export type Catalogue = Readonly<Record<string, CatalogueEntry>>;

/** The event types that can be added: those of the catalogue, or any string without one. */
export type EventType<C extends Catalogue> = keyof C & string;

type SchemaOf<E> = E extends StandardSchemaV1 ? E : E extends { readonly schema: infer S } ? S : never;

/** What `add` takes as the data of an event type (the schema's input, before defaults and transforms). */
export type EventData<C extends Catalogue, T extends EventType<C>> =
  SchemaOf<C[T]> extends infer S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : unknown;

export interface CatalogueLookup {
  /** The topic that the catalogue gives the type, if any. */
  topicOf(type: string): string | undefined;
  /**
   * The data as the schema returns it, with defaults and transforms.
   *
   * @throws `UNKNOWN_EVENT_TYPE`, `INVALID_EVENT` with the schema's issues.
   */
  validate(type: string, data: unknown): unknown | Promise<unknown>;
}

/** Without a catalogue every type and every data passes. */
export function createCatalogue(entries: Catalogue | undefined): CatalogueLookup {
  if (entries === undefined)
    return { topicOf: () => undefined, validate: (type, data) => settled(data, type) };

  const schemas = new Map<string, StandardSchemaV1>();
  const topics = new Map<string, string>();
  for (const [type, entry] of Object.entries(entries)) {
    if ('~standard' in entry) {
      schemas.set(type, entry);
    } else {
      schemas.set(type, entry.schema);
      if (entry.topic !== undefined) topics.set(type, entry.topic);
    }
  }

  return {
    topicOf: (type) => topics.get(type),
    validate(type, data) {
      const schema = schemas.get(type);
      if (schema === undefined) {
        const known = [...schemas.keys()].slice(0, 10).join(', ');
        throw new EventSessionsError(
          'UNKNOWN_EVENT_TYPE',
          `The catalogue has no event type ${describe(type)}. It has: ${known}${schemas.size > 10 ? ', …' : ''}`,
          { eventType: type },
        );
      }
      const result = runSchema(schema, type, data);
      return types.isPromise(result)
        ? result.then((answer) => readOutput(answer, type))
        : readOutput(result, type);
    },
  };
}

function runSchema(schema: StandardSchemaV1, type: string, data: unknown) {
  try {
    const result = schema['~standard'].validate(data);
    return types.isPromise(result)
      ? Promise.resolve(result).catch((error) => schemaThrew(type, error))
      : result;
  } catch (error) {
    return schemaThrew(type, error);
  }
}

function schemaThrew(type: string, cause: unknown): never {
  throw new EventSessionsError(
    'INVALID_EVENT',
    `The schema of ${type} threw while it validated`,
    { eventType: type },
    cause,
  );
}

function readOutput(result: StandardSchemaV1.Result<unknown>, type: string): unknown {
  try {
    return outputOf(result, type);
  } catch (error) {
    if (isEventSessionsError(error)) throw error;
    return schemaThrew(type, error);
  }
}

function outputOf(result: StandardSchemaV1.Result<unknown>, type: string): unknown {
  if (typeof result !== 'object' || result === null) {
    const message = `The schema of ${type} answered ${describe(result)}, which says neither yes nor no`;
    throw new EventSessionsError('INVALID_EVENT', message, { eventType: type });
  }
  if (result.issues === undefined) return settled(result.value, type);
  const { issues, list } = issuesOf(result.issues, ({ path, message }) => [
    // ArkType's paths are a class of their own, whose map() puts out nonsense for an empty one.
    {
      path: Array.from(path ?? [], (part) => String(typeof part === 'object' ? part.key : part)).join('.'),
      message,
    },
  ]);
  throw new EventSessionsError('INVALID_EVENT', `The data of ${type} is not valid: ${list}`, {
    eventType: type,
    issues,
  });
}

/** Data that is a promise would be taken for the result of an async schema. */
function settled(data: unknown, type: string): unknown {
  if (!types.isPromise(data)) return data;
  const issues = [{ path: 'data', message: 'a Promise is not JSON' }];
  throw new EventSessionsError('INVALID_EVENT', 'data: a Promise is not JSON', { eventType: type, issues });
}
