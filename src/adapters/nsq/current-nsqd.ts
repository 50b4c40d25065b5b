import { setTimeout as sleep } from 'node:timers/promises';
import { type NsqConnection, openConnection } from './nsq-connection.js';
import { reasonOf, refusalOf } from './nsq-failure.js';
import type { NsqSettings } from './nsq-options.js';
import type { NsqdAddress } from './nsqd-address.js';

/**
 * The one nsqd that everything goes to, and its replacement.
 *
 * All topics go to one nsqd at a time: it is the only place where "in order" means anything. It stays the same until
 * its connection is lost; the next attempt then begins with the next address. Nobody reconnects in the background:
 * an attempt is made when somebody asks for a connection, so an idle publisher owns no timer.
 */
export interface CurrentNsqd {
  /** The connection, if there is one that is ready. */
  readonly connection: NsqConnection | undefined;
  /**
   * Tries every nsqd once, in turn, and resolves when one is ready. Who asks meanwhile shares the attempt. The next
   * one waits for `reconnect.minMs`: one may hang up as soon as it is ready. After a round in which none was there, that
   * is doubled each time up to `maxMs`, less up to half of it at random.
   */
  connect(): Promise<NsqConnection>;
  /** By a connection of its own: rejects if this nsqd does not introduce itself, or refuses a command that does nothing. */
  probe(address: NsqdAddress): Promise<void>;
  /** Lets go of the connection and of any attempt to make one. */
  close(reason: Error): void;
}

export interface CurrentNsqdConfig extends Pick<NsqSettings, 'nsqd' | 'connectTimeoutMs' | 'reconnect'> {
  readonly onLost: (connection: NsqConnection, cause: Error) => void;
}

export function currentNsqd(config: CurrentNsqdConfig): CurrentNsqd {
  const { nsqd: addresses, connectTimeoutMs, reconnect } = config;
  const abort = new AbortController();
  let current: NsqConnection | undefined;
  let round: Promise<NsqConnection> | undefined;
  let index = 0;
  let failedRounds = 0;
  let notBefore = 0;

  async function tryEveryNsqd(): Promise<NsqConnection> {
    const pause = notBefore - performance.now();
    if (pause > 0) await sleep(pause, undefined, { ref: false, signal: abort.signal });
    const failures: string[] = [];
    const causes: unknown[] = [];
    for (let attempt = 0; attempt < addresses.length && !abort.signal.aborted; attempt++) {
      const address = addresses[index];
      if (address === undefined) break;
      try {
        current = await openConnection(address, { connectTimeoutMs, signal: abort.signal, onLost: lost });
        failedRounds = 0;
        notBefore = performance.now() + reconnect.minMs;
        return current;
      } catch (error) {
        failures.push(`${address.text} (${reasonOf(error)})`);
        causes.push(error);
        index = (index + 1) % addresses.length;
      }
    }
    const longest = Math.min(reconnect.maxMs, reconnect.minMs * 2 ** failedRounds);
    failedRounds += 1;
    notBefore = performance.now() + longest * (1 - Math.random() / 2);
    const cause = causes.length === 1 ? causes[0] : new AggregateError(causes);
    throw new Error(failures.join(', '), { cause });
  }

  function lost(connection: NsqConnection, cause: Error): void {
    index = (addresses.indexOf(connection.address) + 1) % addresses.length;
    config.onLost(connection, cause);
  }

  return {
    get connection() {
      return current?.lost === false ? current : undefined;
    },
    connect() {
      if (current?.lost === false) return Promise.resolve(current);
      round ??= tryEveryNsqd().finally(() => {
        round = undefined;
      });
      return round;
    },
    probe: (address) =>
      new Promise((resolve, reject) => {
        const onLost = (_: NsqConnection, cause: Error) => {
          if (refusalOf(cause) === undefined) resolve();
          else reject(new Error(`${address.text} (${reasonOf(cause)})`, { cause }));
        };
        openConnection(address, { connectTimeoutMs, signal: abort.signal, onLost }).then(
          (connection) => connection.end(),
          reject,
        );
      }),
    close(reason) {
      abort.abort(reason);
      current?.destroy(reason);
    },
  };
}
