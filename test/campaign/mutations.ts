import type { Ports } from './ports.js';

/**
 * A library with one guarantee broken on purpose, to see whether the campaign notices. Each is a wrapper round a port:
 * the library itself has no switch for any of it.
 */
export const MUTATIONS = {} satisfies Record<string, (ports: Ports) => Ports>;

export type MutationName = keyof typeof MUTATIONS | 'none';

export function mutated(_name: MutationName, ports: Ports): Ports {
  return ports;
}
