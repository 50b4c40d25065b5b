import type { EventSessionsError } from '../../core/errors.js';
import type { PublishBatch } from '../../ports/event-publisher.js';
import { placeOf, recentFailures } from '../recent-failures.js';
import { type CurrentNsqd, currentNsqd } from './current-nsqd.js';
import type { NsqRequest } from './encode-requests.js';
import type { NsqConnection } from './nsq-connection.js';
import { reasonOf } from './nsq-failure.js';
import type { NsqSettings } from './nsq-options.js';
import { failure, type PublishCall, recordLoss } from './publish-call.js';

/**
 * The line in which calls of `publish` stand, and what keeps their order when something fails.
 *
 * - One line for all topics, in the order of the calls. The first in line hands its requests to the connection until
 *   the bytes in flight leave no room for the next one; requests are pipelined.
 * - While there is no connection the line waits. If no nsqd can be reached, everybody in it fails as `not_done`.
 * - A call whose deadline ends while something of it is in flight takes the connection with it, and so all that is in
 *   flight there: what nsqd says later on that connection could no longer be told apart from a loss.
 * - When a call fails, for whatever reason, every later call of its topic that is still in progress fails with it.
 *   None of those may reach an nsqd ahead of the call that its caller is going to repeat.
 *   So does one that is made before its caller could hear of the failure ({@link recentFailures}).
 * - A call of which nothing is in flight, and with no such failure before it, goes on with the next connection.
 */
export interface PublishLine {
  readonly nsqd: CurrentNsqd;
  /** Joins the line. `encode` runs at once; what it throws fails the call before anything of it is sent. */
  publish(batch: PublishBatch, encode: () => NsqRequest[]): Promise<void>;
  /** Resolves when no call is in progress, at the latest one deadline after the last of them was made. */
  drained(): Promise<void>;
}

export function publishLine(settings: NsqSettings): PublishLine {
  const { deadlineMs, maxInFlightBytes } = settings;
  /** In progress, in the order of the calls. */
  const calls = new Set<PublishCall>();
  /** Those of them with something left to hand over: always the last ones. */
  let line: PublishCall[] = [];
  let refused = new Map<PublishCall, EventSessionsError>();
  let overdue = new Set<PublishCall>();
  let turnIsDue = false;
  let waitsForConnection = false;
  let whenDrained: (() => void)[] = [];
  const failures = recentFailures();
  const nsqd = currentNsqd({ ...settings, onLost: connectionLost });

  function join(
    batch: PublishBatch,
    encode: () => NsqRequest[],
    resolve: () => void,
    reject: (e: Error) => void,
  ) {
    const place = placeOf(batch);
    const call: PublishCall = {
      ...place,
      requests: [],
      inFlight: 0,
      acknowledged: 0,
      lost: undefined,
      resolve,
      reject,
      deadline: undefined,
      dueAt: performance.now() + deadlineMs,
    };
    const failedBefore = failures.before(place);
    calls.add(call);
    try {
      if (failedBefore !== undefined) throw behind(call, failedBefore);
      call.requests.push(...encode());
      call.deadline = setTimeout(deadlineOver, deadlineMs, call);
      line.push(call);
    } catch (error) {
      refused.set(call, error as EventSessionsError);
    }
    takeTurnSoon();
  }

  /** Later in this tick: calls made together are seen together, and nothing happens inside of nsqjs's callbacks. */
  function takeTurnSoon(): void {
    if (turnIsDue) return;
    turnIsDue = true;
    queueMicrotask(() => {
      turnIsDue = false;
      failRefused();
      handOver();
    });
  }

  function failRefused(): void {
    if (refused.size === 0) return;
    const failed = refused;
    refused = new Map();
    fail((call) => failed.get(call));
  }

  function handOver(): void {
    for (let call = line[0]; call !== undefined; call = line[0]) {
      const { connection } = nsqd;
      if (connection === undefined) {
        waitForConnection();
        return;
      }
      if (performance.now() >= call.dueAt) {
        deadlineOver(call);
        return;
      }
      const [request] = call.requests;
      if (request !== undefined) {
        const room = maxInFlightBytes - connection.inFlightBytes;
        if (request.bytes > room && connection.inFlightBytes > 0) return;
        call.requests.shift();
      }
      if (call.requests.length === 0) line.shift();
      if (request !== undefined) send(connection, call, request);
      else settle(call);
    }
  }

  function send(connection: NsqConnection, call: PublishCall, request: NsqRequest): void {
    call.inFlight += 1;
    connection.send(request, {
      acknowledged() {
        call.inFlight -= 1;
        call.acknowledged += 1;
        if (call.inFlight === 0 && call.requests.length === 0) settle(call);
        if (line.length > 0) takeTurnSoon();
      },
      lost(outcome, cause) {
        call.inFlight -= 1;
        recordLoss(call, outcome, cause);
      },
    });
  }

  function waitForConnection(): void {
    if (waitsForConnection) return;
    waitsForConnection = true;
    const connected = () => {
      waitsForConnection = false;
      takeTurnSoon();
    };
    const unreachable = (error: unknown) => {
      waitsForConnection = false;
      const reason = `no nsqd can be reached: ${reasonOf(error)}`;
      const waiting = new Set(line);
      fail((call) => (waiting.has(call) ? failure(call, reason, 'not_done', error) : undefined));
    };
    nsqd.connect().then(connected, unreachable);
  }

  function connectionLost({ address }: NsqConnection, cause: Error): void {
    const reason = `nsqd ${address.text}: ${reasonOf(cause)}`;
    fail((call) => call.lost && failure(call, reason, call.lost.outcome, cause));
    takeTurnSoon();
  }

  /** Not at once: when the process stood still, it may come before what nsqd has answered meanwhile. */
  function deadlineOver(call: PublishCall): void {
    if (overdue.size === 0) setImmediate(failOverdue);
    overdue.add(call);
  }

  function failOverdue(): void {
    const late = [...overdue].filter((call) => calls.has(call));
    overdue = new Set();
    const { connection } = nsqd;
    const unsent = new Set(late.filter(({ inFlight }) => inFlight === 0));
    const obstacle =
      connection === undefined
        ? `no connection to ${settings.nsqd.map(({ text }) => text).join(', ')}`
        : `nsqd ${connection.address.text} has ${connection.inFlightBytes} bytes left to acknowledge, ` +
          `and maxInFlightBytes is ${maxInFlightBytes}`;
    const reason = `not sent within ${deadlineMs} ms: ${obstacle}`;
    fail((call) => (unsent.has(call) ? failure(call, reason, 'not_done') : undefined));
    if (late.length > unsent.size) {
      connection?.destroy(new Error(`no acknowledgement within ${deadlineMs} ms`));
    }
    takeTurnSoon();
  }

  /** Ends in failure all calls that have an error, and the later ones of their topics with them, in one go. */
  function fail(errorOf: (call: PublishCall) => EventSessionsError | undefined): void {
    const failed = new Map<string, EventSessionsError>();
    for (const call of calls) {
      const before = failed.get(call.topic);
      const error = errorOf(call) ?? (before && behind(call, before));
      if (error === undefined) continue;
      if (before === undefined) failed.set(call.topic, error);
      failures.add(call, error);
      settle(call, error);
    }
    line = line.filter((call) => calls.has(call));
  }

  function behind(call: PublishCall, cause: Error): EventSessionsError {
    const reason = `a batch before this one failed, and order is kept (${reasonOf(cause)})`;
    return failure(call, reason, call.lost?.outcome ?? 'not_done', cause);
  }

  function settle(call: PublishCall, error?: Error): void {
    clearTimeout(call.deadline);
    calls.delete(call);
    if (error === undefined) {
      call.resolve();
    } else {
      call.requests.length = 0;
      call.reject(error);
    }
    if (calls.size > 0) return;
    for (const tell of whenDrained) tell();
    whenDrained = [];
  }

  return {
    nsqd,
    publish: (batch, encode) =>
      new Promise((resolve, reject) => {
        join(batch, encode, resolve, reject);
      }),
    drained: () =>
      new Promise((resolve) => {
        if (calls.size === 0) resolve();
        else whenDrained.push(resolve);
      }),
  };
}
