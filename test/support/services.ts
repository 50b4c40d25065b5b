import { describe, inject, it } from 'vitest';

/** What the global setup started once for the whole run, by name. */
export interface ServiceAddresses {
  redis: { url: string };
  cluster: { nodes: { host: string; port: number }[] };
  nsqd: { tcp: string; http: string };
  /** The programs, not a server. */
  prometheus: { prometheus: string; promtool: string };
}

export type ServiceName = keyof ServiceAddresses;

/** All of it is shared by every test file: use keys and topics of your own, flush nothing, stop nothing. */
export interface Services extends Partial<ServiceAddresses> {
  /** Why a service is not there, in words for the person who runs the tests. */
  missing: Partial<Record<ServiceName, string>>;
  /** `{ 'redis-server': '7.0.15' }`, for the report. */
  versions: Record<string, string>;
}

declare module 'vitest' {
  interface ProvidedContext {
    services: Services;
  }
  interface TaskMeta {
    /** The services whose absence made a suite skipped; the reporter tells why they are absent. */
    needs?: ServiceName[];
  }
}

export function services(): Services {
  return inject('services');
}

/**
 * Options of a test or suite that runs only with these services: `it('…', needs('nsqd'), async () => { … })`.
 * Not a condition for `skipIf`: the options also carry the reason to the report.
 */
export function needs(...names: ServiceName[]): { skip: boolean; meta: { needs: ServiceName[] } } {
  const absent = names.filter((name) => services()[name] === undefined);
  return { skip: absent.length > 0, meta: { needs: absent } };
}

/**
 * A `describe` that needs one running service and gets its address: `describeWith('redis', ({ url }) => { … })`.
 * Without the service it is skipped, and the report says how many tests that left out and why. They are counted by
 * running `body` with an address where nobody listens, so `body` only declares: connect in hooks and tests.
 */
export function describeWith<Name extends ServiceName>(
  name: Name,
  body: (address: ServiceAddresses[Name]) => void,
): void {
  describeWithAll([name], (addresses) => body(addresses[name]));
}

/** `describeWith` for several services at once: `describeWithAll(['redis', 'nsqd'], ({ redis, nsqd }) => { … })`. */
export function describeWithAll<Name extends ServiceName>(
  names: readonly Name[],
  body: (addresses: Pick<ServiceAddresses, Name>) => void,
): void {
  const options = needs(...names);
  const title = `on real ${names.map((name) => TITLES[name]).join(' and ')}`;
  describe(title, options, () => {
    if (!options.skip) return body(services() as Pick<ServiceAddresses, Name>);
    try {
      body(NOWHERE);
    } catch (error) {
      it(`cannot be listed: ${error}`, () => {});
    }
  });
}

const TITLES: Record<ServiceName, string> = {
  redis: 'Redis',
  cluster: 'Redis Cluster',
  nsqd: 'nsqd',
  prometheus: 'Prometheus',
};

const NOWHERE: ServiceAddresses = {
  redis: { url: 'redis://127.0.0.1:1' },
  cluster: { nodes: [{ host: '127.0.0.1', port: 1 }] },
  nsqd: { tcp: '127.0.0.1:1', http: '127.0.0.1:1' },
  prometheus: { prometheus: '/nowhere', promtool: '/nowhere' },
};
