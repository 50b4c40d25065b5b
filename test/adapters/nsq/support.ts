import { onTestFinished } from 'vitest';
import { type NsqPublisherOptions, nsqPublisher } from '../../../src/adapters/nsq/index.js';
import { json } from '../../../src/core/codecs.js';
import type { EventPublisher } from '../../../src/ports/event-publisher.js';
import { type NsqdDouble, startNsqdDouble } from '../../support/nsqd-double.js';

export { batchOf } from './batch.js';

/** A double that ends with the test. */
export async function aDouble(): Promise<NsqdDouble> {
  const double = await startNsqdDouble();
  onTestFinished(() => double.stop());
  return double;
}

/** A publisher that ends with the test, with bare data as messages and short pauses between attempts. */
export function aPublisher(nsqd: string | string[], options: NsqPublisherOptions = {}): EventPublisher {
  const publisher = nsqPublisher({ nsqd, codec: json(), reconnect: { minMs: 1, maxMs: 5 }, ...options });
  onTestFinished(() => publisher.close());
  return publisher;
}

/** How each of the promises ended: `ok`, or the code and outcome of its error. */
export async function endings(...promises: Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => (result.status === 'fulfilled' ? 'ok' : ending(result.reason)));
}

function ending(error: { code?: string; outcome?: string }): string {
  return error.code === 'PUBLISH_FAILED' ? String(error.outcome) : `${error.code} ${error.outcome}`;
}

/** A promise, and how to resolve it: a delay that the test ends. */
export function gate<T>(): { readonly opened: Promise<T>; open(value: T): void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
