import type { Socket } from 'node:net';
import { Writer } from 'nsqjs';
import type { FailureOutcome } from '../../core/errors.js';
import type { NsqRequest } from './encode-requests.js';
import { frameGuard } from './frame-guard.js';
import { refusalOf, toError } from './nsq-failure.js';
import type { NsqdAddress } from './nsqd-address.js';

/**
 * One connection to one nsqd, from its making to its loss: the life of one nsqjs `Writer`.
 *
 * ```text
 *   connecting ──`ready`──► ready ──────────────────┐
 *       │                     │ `send`, acknowledgements
 *       │                     │                     │
 *       └─ error, closed, ────┴─ error, closed, a failed request,
 *          timeout, abort        `destroy` (a deadline, the end of the publisher)
 *                             ▼
 *                           lost
 * ```
 *
 * - `connecting`: nothing may be sent. (nsqjs would queue a message and send it too.)
 * - `ready`: requests are written in the order of `send`; nsqd works on one at a time and answers in that order.
 * - `lost` is final, is entered once, and settles everything: each request without an acknowledgement hears what may
 *   have become of it, then `onLost` is called. The socket is destroyed. What nsqjs says afterwards (a second `error`
 *   event for the same cause, `closed`, failing callbacks) changes nothing, but is listened to: an `error` event
 *   without a listener would end the process.
 *
 * Nothing here keeps the process running: the socket and the timers are unref'd. Who waits holds it.
 */
export interface NsqConnection {
  readonly address: NsqdAddress;
  readonly lost: boolean;
  /** Written, but not acknowledged. */
  readonly inFlightBytes: number;
  /** Only while not `lost`. */
  send(request: NsqRequest, outcome: RequestOutcome): void;
  /**
   * Sends a command that does nothing, and its own end. It is lost when nsqd has closed it, has refused the command, or
   * has done neither within `connectTimeoutMs`. Only without requests in flight.
   */
  end(): void;
  /** Loses the connection for a reason of one's own; requests in flight become `unknown`. */
  destroy(reason: Error): void;
}

/** One of the two is called, once; `lost` never before all acknowledgements that came in. */
export interface RequestOutcome {
  acknowledged(): void;
  /** Followed by `onLost` once all requests in flight have been told. */
  lost(outcome: FailureOutcome, cause: Error): void;
}

export interface NsqConnectionConfig {
  readonly connectTimeoutMs: number;
  /** Gives up an attempt to connect. */
  readonly signal: AbortSignal;
  readonly onLost: (connection: NsqConnection, cause: Error) => void;
}

/**
 * What is used of nsqjs beyond its published face: the socket, the timer that it leaves running, what that one calls after
 * 5 s without an answer to IDENTIFY, the method that each piece of data from the socket goes through, and the way that
 * `Writer.publish` itself goes: a callback for each command written, called in that order. `publish` would make a buffer
 * of each message and copy it twice on the way to the socket; here the command comes ready.
 */
interface NsqjsInternals {
  readonly conn?: {
    readonly conn?: Socket | null;
    clearIdentifyTimeout?(): void;
    identifyTimeout?(): void;
    readonly messageCallbacks?: ((error?: unknown) => void)[];
    write?(command: Buffer): void;
    receiveData?(data: Buffer): void;
  };
}

/**
 * Seconds. nsqd sends a heartbeat every 30 s; an idle connection that has heard nothing for two of them and a bit is
 * dead, and better found out before the next publish than by it.
 */
const HEARTBEAT_S = 30;
const SILENCE_S = 75;

/** Resolves with a connection that is ready, or rejects with why there is none. */
export function openConnection(address: NsqdAddress, config: NsqConnectionConfig): Promise<NsqConnection> {
  return new Promise((resolve, reject) => {
    let state: 'connecting' | 'ready' | 'lost' = 'connecting';
    let inFlightBytes = 0;
    const inFlight: { readonly bytes: number; readonly outcome: RequestOutcome }[] = [];
    const writer = new Writer(address.host, address.port, {
      heartbeatInterval: HEARTBEAT_S,
      idleTimeout: SILENCE_S,
    });
    const internals = writer as unknown as NsqjsInternals;
    const guard = frameGuard();

    const answerIsLate = () => lose(new Error(`no answer within ${config.connectTimeoutMs} ms`));
    let timer = setTimeout(answerIsLate, config.connectTimeoutMs).unref();
    const abort = () => lose(toError(config.signal.reason));

    function lose(error: unknown): void {
      if (state === 'lost') return;
      const wasReady = state === 'ready';
      state = 'lost';
      const cause = toError(error);
      clearTimeout(timer);
      config.signal.removeEventListener('abort', abort);
      releaseSocket();
      settleInFlight(cause);
      if (wasReady) config.onLost(connection, cause);
      else reject(cause);
    }

    function settleInFlight(cause: Error): void {
      // nsqd stops at the first command it refuses: that one is the oldest, and none after it was looked at.
      const refusal = refusalOf(cause);
      const rest: FailureOutcome = refusal ? 'not_done' : 'unknown';
      inFlightBytes = 0;
      inFlight.splice(0).forEach(({ outcome }, index) => {
        outcome.lost(index === 0 && refusal ? refusal.outcome : rest, cause);
      });
    }

    function releaseSocket(): void {
      // Not writer.close(): it fails the callbacks of what was delivered, and sends a CLS that nsqd logs as an error.
      internals.conn?.clearIdentifyTimeout?.();
      internals.conn?.conn?.destroy();
    }

    function acknowledge(): void {
      const request = inFlight.shift();
      if (request === undefined) return;
      inFlightBytes -= request.bytes;
      request.outcome.acknowledged();
    }

    function answered(error?: unknown): void {
      if (state === 'lost') return;
      // nsqjs acknowledges with null. Anything else may be a failure, and a duplicate is better than a loss.
      if (error === null) acknowledge();
      else lose(error);
    }

    const connection: NsqConnection = {
      address,
      get lost() {
        return state === 'lost';
      },
      get inFlightBytes() {
        return inFlightBytes;
      },
      send(request, outcome) {
        inFlight.push({ bytes: request.bytes, outcome });
        inFlightBytes += request.bytes;
        guard.expectAnswer();
        try {
          internals.conn?.messageCallbacks?.push(answered);
          internals.conn?.write?.(request.frame());
        } catch (error) {
          lose(error);
        }
      },
      end() {
        timer = setTimeout(answerIsLate, config.connectTimeoutMs).unref();
        internals.conn?.conn?.end('NOP\n');
      },
      destroy: lose,
    };

    writer.on('error', lose);
    writer.on('closed', () => lose(new Error('the connection was closed')));
    writer.on('ready', () => {
      if (state !== 'connecting') return;
      if (!takesCommands(internals)) return lose(new Error('this version of nsqjs is not known; use 0.13'));
      state = 'ready';
      clearTimeout(timer);
      config.signal.removeEventListener('abort', abort);
      internals.conn?.conn?.unref();
      resolve(connection);
    });
    if (config.signal.aborted) return abort();
    config.signal.addEventListener('abort', abort);
    writer.connect();
    const { conn } = internals;
    const receive = conn?.receiveData;
    if (conn !== undefined && receive !== undefined) {
      conn.identifyTimeout = () => {};
      conn.receiveData = (data) => {
        try {
          const objection = guard.objectionTo(data);
          if (objection === undefined) receive.call(conn, data);
          else lose(objection);
        } catch (error) {
          lose(error);
        }
      };
    }
    // nsqjs makes the socket on the next tick too, before this. A host name with several addresses makes more of
    // them on the way, hence once more when ready.
    process.nextTick(() => {
      internals.conn?.conn?.unref();
      if (state === 'lost') releaseSocket();
    });
  });
}

function takesCommands({ conn }: NsqjsInternals): boolean {
  return Array.isArray(conn?.messageCallbacks) && typeof conn.write === 'function';
}
