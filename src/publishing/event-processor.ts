import { EventSessionsError, ignoringUntilAwaited } from '../core/errors.js';
import { corruptEvent, isEnvelope, type StoredEvent } from '../core/event.js';
import type { Metrics } from '../core/metrics.js';
import { sessionCorrupt } from '../core/refusals.js';
import type { SessionStore } from '../ports/session-store.js';
import type { CommitLease } from './commit-lease.js';
import { createCommitWindow } from './commit-window.js';
import {
  byTopic,
  createPartPublisher,
  type FailedPart,
  isRefused,
  isUnknown,
  type Part,
  type PartPublisherConfig,
  type PublishResult,
  partOf,
  worstOf,
} from './part-publisher.js';
import { backoffDelay, pause, type RetryPolicy } from './retry.js';

/**
 * Carries a session's events from the store to the broker, in order, within a window.
 *
 * A **batch** is a run of consecutive events, cut from a page of the store. It is published with one call per topic in it.
 * Up to `inFlight` batches are on their way at once, and a batch counts until the cursor behind it is confirmed by
 * the store. So whatever happens, no more than `inFlight` batches can be published a second time.
 *
 * When a batch fails, nothing new is sent until everything in flight has settled; then what failed is sent again
 * from the front, one batch at a time, before anything else. So a retry cannot overtake.
 */
export interface EventProcessor {
  run(session: ProcessedSession): Promise<ProcessResult>;
  /** Publishes events that are owed outside a commit, in order, without retries. */
  publishOwed(sessionId: string, events: readonly StoredEvent[]): Promise<PublishResult>;
}

export interface ProcessedSession {
  readonly sessionId: string;
  /** How many events it has. */
  readonly events: number;
  readonly lease: CommitLease;
  /** Stops between batches. */
  readonly signal: AbortSignal | undefined;
}

/**
 * - `complete`: the cursor is behind the last event;
 * - `stopped`: the signal aborted;
 * - `lease_lost`: another attempt has taken over, or the lease ran out before it could be renewed.
 */
export type ProcessResult = 'complete' | 'stopped' | 'lease_lost';

export interface EventProcessorConfig extends RetryPolicy, PartPublisherConfig {
  readonly store: Pick<SessionStore, 'read'>;
  /**
   * Takes what the broker can't, whose last attempt ended as `cause` says; undefined without contingency. Rejects
   * with `CONTINGENCY_FAILED`.
   */
  readonly defer:
    | ((sessionId: string, events: readonly StoredEvent[], cause: EventSessionsError) => Promise<void>)
    | undefined;
  readonly metrics: Metrics;
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly inFlight: number;
}

interface Settled {
  /** Events that went to the contingency log. */
  readonly deferred: number;
  /** Why, if the broker is given up for the rest of the session: what comes after a deferred event must not overtake it. */
  readonly brokerDown: EventSessionsError | undefined;
}

/** What is read at once, if `batchBytes` allows it: a round trip to the store for several to the broker. */
const BATCHES_PER_PAGE = 2;

export function createEventProcessor(config: EventProcessorConfig): EventProcessor {
  const { store, breaker, metrics } = config;
  const parts = createPartPublisher(config);

  /**
   * Sends again what failed until it is published, deferred, or (without contingency) given up. What is refused is not
   * sent again as it is, but taken apart once the rest is through.
   * Undefined when the attempt has to end first.
   */
  async function settle(
    session: ProcessedSession,
    failed: readonly FailedPart[],
  ): Promise<Settled | undefined> {
    const { sessionId, lease, signal } = session;
    const refused = failed.filter(isRefused);
    let left = failed.filter((one) => !isRefused(one));
    let uncertain: EventSessionsError | undefined;
    for (let retry = 1; retry <= config.retries && left.length > 0 && !breaker.down; retry += 1) {
      uncertain = left.find(isUnknown)?.error ?? uncertain;
      await pause(backoffDelay(config, retry), signal);
      if (signal?.aborted || !lease.holds()) return undefined;
      const again = await parts.publish(sessionId, left.map(partOf));
      refused.push(...again.filter(isRefused));
      left = again.filter((one) => !isRefused(one));
    }
    if (left.length + refused.length === 0) return { deferred: 0, brokerDown: undefined };
    if (!lease.holds()) return undefined;
    const [down] = left;
    if (down !== undefined) {
      const cause = uncertain ?? worstOf(left);
      const deferred = await deferRest(sessionId, [...left, ...refused].map(partOf), cause);
      return { deferred, brokerDown: down.error };
    }
    const refusal = worstOf(refused);
    const singly = await parts.publishSingly(sessionId, refused.map(partOf), () => lease.holds());
    if (singly.stopped) return undefined;
    const never = await deferRest(sessionId, [singly.refused], refusal);
    const unsent = await deferRest(sessionId, [singly.left], uncertain ?? singly.error ?? refusal);
    return { deferred: never + unsent, brokerDown: unsent > 0 ? singly.error : undefined };
  }

  async function deferRest(
    sessionId: string,
    parts: readonly Part[],
    error: EventSessionsError,
  ): Promise<number> {
    const rest = parts.flat().sort((a, b) => a.sequence - b.sequence);
    if (rest.length === 0) return 0;
    if (config.defer === undefined) throw error;
    await config.defer(sessionId, rest, error);
    return rest.length;
  }

  async function publishOnce(sessionId: string, events: readonly StoredEvent[]): Promise<PublishResult> {
    const failed = await parts.publish(sessionId, byTopic(events));
    const down = failed.filter((one) => !isRefused(one));
    const singly = await parts.publishSingly(sessionId, failed.filter(isRefused).map(partOf));
    return {
      left: [...down.flatMap(partOf), ...singly.left],
      refused: singly.refused,
      error: down.length > 0 ? worstOf(down) : singly.error,
    };
  }

  return {
    async publishOwed(sessionId, events) {
      const result = await publishOnce(sessionId, events);
      metrics.eventsRecovered(events.length - result.left.length - result.refused.length);
      return result;
    },

    async run(session) {
      const { sessionId, events, lease, signal } = session;
      let brokerDown = config.defer !== undefined && lease.deferred > 0 ? owedBefore(sessionId) : undefined;

      const window = createCommitWindow({
        size: config.inFlight,

        /** What the cursor has not moved past is published, and counted, by the next attempt. */
        async moveCursor(end, deferred) {
          const published = end - lease.cursor - deferred;
          if (!(await lease.advance(end, lease.deferred + deferred))) return false;
          metrics.eventsPublished(published);
          metrics.eventsDeferred(deferred);
          return true;
        },

        async settleFailed(failed) {
          if (brokerDown !== undefined) return deferRest(sessionId, failed.map(partOf), worstOf(failed));
          const settled = await settle(session, failed);
          brokerDown = settled?.brokerDown;
          return settled?.deferred;
        },
      });

      function send(batch: readonly StoredEvent[]): void {
        const end = batch.at(-1)?.sequence ?? 0;
        if (brokerDown !== undefined) {
          const error = notSent(brokerDown, sessionId);
          const failed = byTopic(batch).map((part) => ({ part, error }));
          window.add({ end, settled: Promise.resolve(failed), failed: true });
          return;
        }
        const state = { end, failed: false };
        const settled = parts.publish(sessionId, byTopic(batch), () => {
          state.failed = true;
        });
        window.add(Object.assign(state, { settled }));
      }

      const ended = () => (signal?.aborted ? 'stopped' : 'lease_lost');
      const read = (after: number) =>
        store.read(sessionId, {
          after,
          limit: Math.min(BATCHES_PER_PAGE * config.batchEvents, events - after),
          maxBytes: config.batchBytes,
        });

      /** While a page is sent, the next one is on its way. */
      async function* batches() {
        let end = lease.cursor;
        let next = end < events ? read(end) : undefined;
        while (next !== undefined) {
          const page = await next;
          const last = page.at(-1);
          if (last === undefined) throw sessionCorrupt(sessionId, events, end);
          end = last.sequence;
          next = end < events ? ignoringUntilAwaited(read(end)) : undefined;
          for (let from = 0; from < page.length; from += config.batchEvents) {
            yield page.slice(from, from + config.batchEvents);
          }
        }
      }

      try {
        for await (const batch of batches()) {
          const foreign = batch.find((event) => !isEnvelope(event.utf8 ?? event.json));
          if (foreign !== undefined) {
            // Those before it do not come again with the next attempt, which gets no further.
            if (!(await window.settleAll())) return ended();
            throw corruptEvent(sessionId, foreign.sequence);
          }
          if (!(await window.hasRoom())) return ended();
          if (signal?.aborted || !lease.holds()) break;
          send(batch);
        }
        if (!(await window.settleAll())) return ended();
        return lease.cursor === events ? 'complete' : ended();
      } finally {
        await window.close();
      }
    },
  };
}

/** An attempt before this one has left events in the log; what is behind them must not overtake them. */
function owedBefore(sessionId: string): EventSessionsError {
  const message = 'Events before these are in the contingency log';
  return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, outcome: 'not_done' });
}

function notSent(brokerDown: EventSessionsError, sessionId: string): EventSessionsError {
  const message = `Not sent after: ${brokerDown.message}`;
  return new EventSessionsError('PUBLISH_FAILED', message, { sessionId, outcome: 'not_done' }, brokerDown);
}
