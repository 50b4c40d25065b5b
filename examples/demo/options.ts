import { parseArgs } from 'node:util';

export interface DemoOptions {
  readonly redis: string | undefined;
  readonly nsqd: string | undefined;
  readonly json: boolean;
  readonly help: boolean;
}

export const USAGE = `Usage: npm run demo [-- options]

An order from its first request to the broker: add, commit, retry, roll back,
refuse, survive an outage. Runs in memory unless it is told where servers are.

  --redis <url>        keep sessions in Redis, such as redis://127.0.0.1:6379
  --nsqd <host:port>   publish to NSQ, such as 127.0.0.1:4150
  --json               one JSON object per step instead of prose
  --help               this text

It writes to keys and topics of its own and removes them in the end.
`;

/** Throws an `Error` that says what is wrong, for the usage text to follow. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      redis: { type: 'string' },
      nsqd: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return { redis: values.redis, nsqd: values.nsqd, json: values.json ?? false, help: values.help ?? false };
}
