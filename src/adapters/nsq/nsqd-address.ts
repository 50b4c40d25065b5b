/** Where a nsqd listens for the TCP protocol. */
export interface NsqdAddress {
  readonly host: string;
  readonly port: number;
  /** As the user wrote it, for messages. */
  readonly text: string;
}

/** `host:port`, with an IPv6 address in brackets; `undefined` if it is not one. */
export function parseNsqdAddress(text: string): NsqdAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port, text };
}
