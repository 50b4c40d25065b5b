import type { EventSessionsError, FailureOutcome } from '../../core/errors.js';
import type { PublishBatch } from '../../ports/event-publisher.js';
import { placeOf, recentFailures } from '../../publishing/recent-failures.js';
import { type CurrentNsqd, currentNsqd } from './current-nsqd.js';
import type { NsqRequest } from './encode-requests.js';
import type { NsqConnection } from './nsq-connection.js';
import { reasonOf } from './nsq-failure.js';
import type { NsqSettings } from './nsq-options.js';
import { outcomeOfCall, type PublishCall, publishFailed, recordLoss } from './publish-call.js';

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
  let refused: { call: PublishCall; error: EventSessionsError }[] = [];
  let number = 0;
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
      number: number++,
      requests: [],
      inFlight: 0,
      acknowledged: 0,
      lost: undefined,
      resolve,
      reject,
      deadline: undefined,
    };
    const failedBefore = failures.before(place);
    calls.add(call);
    try {
      if (failedBefore !== undefined) throw behind(call, failedBefore);
      call.requests.push(...encode());
      call.deadline = setTimeout(deadlineOver, deadlineMs, call);
      line.push(call);
    } catch (error) {
      refused.push({ call, error: error as EventSessionsError });
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
    const failed = refused;
    refused = [];
    for (const { call, error } of failed) {
      failures.add(call, error);
      settle(call, error);
    }
    for (const { call, error } of failed) failFollowers(call, error);
  }

  function handOver(): void {
    for (let call = line[0]; call !== undefined; call = line[0]) {
      const { connection } = nsqd;
      if (connection === undefined) {
        waitForConnection();
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
      for (const call of [...line]) {
        fail(call, `no nsqd can be reached: ${reasonOf(error)}`, 'not_done', error);
      }
    };
    nsqd.connect().then(connected, unreachable);
  }

  function connectionLost(connection: NsqConnection, cause: Error): void {
    for (const call of [...calls]) {
      if (call.lost === undefined) continue;
      fail(call, `nsqd ${connection.address.text}: ${reasonOf(cause)}`, call.lost.outcome, cause);
    }
    takeTurnSoon();
  }

  function deadlineOver(call: PublishCall): void {
    const { connection } = nsqd;
    if (call.inFlight > 0 && connection !== undefined) {
      connection.destroy(new Error(`no acknowledgement within ${deadlineMs} ms`));
      return;
    }
    const obstacle =
      connection === undefined
        ? `no connection to ${settings.nsqd.map(({ text }) => text).join(', ')}`
        : `nsqd ${connection.address.text} has ${connection.inFlightBytes} bytes left to acknowledge, ` +
          `and maxInFlightBytes is ${maxInFlightBytes}`;
    fail(call, `not sent within ${deadlineMs} ms: ${obstacle}`, 'not_done');
  }

  /** Ends a call in failure, and the later ones of its topic with it. */
  function fail(call: PublishCall, reason: string, outcome: FailureOutcome, cause?: unknown): void {
    if (!calls.has(call)) return;
    const error = publishFailed(call, reason, outcomeOfCall(call, outcome), cause);
    failures.add(call, error);
    settle(call, error);
    failFollowers(call, error);
  }

  function failFollowers(failed: PublishCall, cause: Error): void {
    for (const call of [...calls]) {
      if (call.number < failed.number || call.topic !== failed.topic) continue;
      const error = behind(call, cause);
      failures.add(call, error);
      settle(call, error);
    }
  }

  function behind(call: PublishCall, cause: Error): EventSessionsError {
    const reason = `a batch before this one failed, and order is kept (${reasonOf(cause)})`;
    return publishFailed(call, reason, outcomeOfCall(call, call.lost?.outcome ?? 'not_done'), cause);
  }

  function settle(call: PublishCall, error?: Error): void {
    clearTimeout(call.deadline);
    calls.delete(call);
    if (error === undefined) {
      call.resolve();
    } else {
      call.requests.length = 0;
      line = line.filter((other) => other !== call);
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
