import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContingencyLog, SealedEntry, SealedRecords } from '../../src/ports/contingency-log.js';
import type { SessionStore } from '../../src/ports/session-store.js';
import type { Ports } from './ports.js';

/**
 * A library with one guarantee broken on purpose, to see whether the campaign notices. Each is a wrapper round a port:
 * the library itself has no switch for any of it.
 */
export const MUTATIONS = {
  /** The store takes an event again that it has already. */
  'no deduplication': ({ store, ...rest }) => ({
    ...rest,
    store: {
      ...store,
      append: (sessionId, events, ...rest) => store.append(sessionId, events.map(renamed), ...rest),
    },
  }),

  /** An attempt that has lost its lease is told that it has not. */
  'no fencing': ({ store, ...rest }) => ({
    ...rest,
    store: {
      ...store,
      advance: async (...args) => neverStale(await store.advance(...args)),
      finishCommit: async (...args) => neverStale(await store.finishCommit(...args)),
    },
  }),

  /** Recovery takes its records out of the log before it is done with them. */
  'cleared before done': ({ contingency, ...rest }) => ({
    ...rest,
    contingency: {
      ...contingency,
      async seal() {
        const sealed = await contingency.seal();
        return typeof sealed === 'string' ? sealed : takenOut(sealed, contingency);
      },
    },
  }),

  /** The log says yes, and writes later. */
  'log that writes later': ({ contingency, ...rest }) => ({
    ...rest,
    contingency: {
      ...contingency,
      async append(records) {
        void sleep(WRITES_LATER_MS, undefined, { ref: false })
          .then(() => contingency.append(records))
          .catch(() => {});
      },
    },
  }),

  /** An event goes to the broker as soon as the store has it. */
  'published at add': ({ store, publisher, ...rest }) => ({
    ...rest,
    publisher,
    store: {
      ...store,
      async append(sessionId, events, ...rest) {
        const outcome = await store.append(sessionId, events, ...rest);
        const [first] = events;
        if (outcome.outcome === 'appended' && first !== undefined && outcome.duplicates.length === 0) {
          const { topic, json } = first;
          const sequence = outcome.events - events.length + 1;
          await publisher.publish({ sessionId, topic, events: [{ topic, sequence, json }] }).catch(() => {});
        }
        return outcome;
      },
    },
  }),

  /** Recovery does not see that a session was rolled back. */
  'rollback not recovered': ({ contingency, ...rest }) => ({
    ...rest,
    contingency: {
      ...contingency,
      async seal() {
        const sealed = await contingency.seal();
        return typeof sealed === 'string' ? sealed : withoutRollbacks(sealed);
      },
    },
  }),
} satisfies Record<string, (ports: Ports) => Ports>;

export type MutationName = keyof typeof MUTATIONS;

export function mutated(name: MutationName, ports: Ports): Ports {
  return MUTATIONS[name](ports);
}

const WRITES_LATER_MS = 300;

type Accepted = Parameters<SessionStore['append']>[1][number];

function renamed(event: Accepted): Accepted {
  return { ...event, id: `${event.id.slice(0, 100)}-${randomBytes(6).toString('hex')}` };
}

function neverStale<T extends { readonly outcome: string }>(result: T): T | { readonly outcome: 'done' } {
  return result.outcome === 'stale' ? { outcome: 'done' } : result;
}

/** All of it in memory and nowhere else; what is not done in the end is appended again. */
async function takenOut(sealed: SealedRecords, log: ContingencyLog): Promise<SealedRecords> {
  const entries = new Map<number, SealedEntry>();
  for await (const some of sealed.read()) for (const entry of some) entries.set(entry.place, entry);
  const records = (places: Iterable<number>) =>
    [...places].flatMap((place) => {
      const entry = entries.get(place);
      return entry !== undefined && 'record' in entry ? [entry.record] : [];
    });
  await sealed.settle([...entries.keys()]);
  return {
    async *read() {
      yield [...entries.values()];
    },
    fetch: async (places) => records(places),
    async settle(places) {
      for (const place of places) entries.delete(place);
    },
    async quarantine(refused) {
      await sealed.quarantine(refused);
      for (const { place } of refused) entries.delete(place);
    },
    async release() {
      await sealed.release();
      await log.append(records(entries.keys()));
    },
  };
}

function withoutRollbacks(sealed: SealedRecords): SealedRecords {
  return {
    ...sealed,
    async *read() {
      for await (const entries of sealed.read()) {
        const isRollback = (entry: SealedEntry) =>
          'record' in entry && entry.record.kind === 'session.rollback_requested';
        await sealed.settle(entries.filter(isRollback).map(({ place }) => place));
        yield entries.filter((entry) => !isRollback(entry));
      }
    },
  };
}
