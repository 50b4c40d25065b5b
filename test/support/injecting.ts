import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'vitest';

/** What it takes to do something to the operating system: tools, and Linux capabilities by their number. */
const MEANS = {
  'mount a disk': { tools: ['mount', 'umount'], capabilities: [21] },
  'make a file immutable': { tools: ['chattr'], capabilities: [9] },
  'give up root': { tools: [], capabilities: [6, 7] },
  'compile a C library': { tools: ['cc'], capabilities: [] },
  'run jq': { tools: ['jq'], capabilities: [] },
} as const;

/**
 * Does it, or leaves the test out and says why. With CI set it is left out only where it can't be done at all: a tool
 * or a right is missing, or the file system has no such thing.
 */
export async function inject<T>(
  context: TestContext,
  what: keyof typeof MEANS,
  attempt: () => T | Promise<T>,
): Promise<T> {
  const obstacle = obstacleTo(what);
  if (obstacle !== undefined) context.skip(`cannot ${what} here: ${obstacle}`);
  try {
    return await attempt();
  } catch (error) {
    const { message } = error as Error;
    if (process.env.CI && !/not supported/i.test(message)) throw error;
    return context.skip(`cannot ${what} here: ${message}`);
  }
}

function obstacleTo(what: keyof typeof MEANS): string | undefined {
  const { tools, capabilities } = MEANS[what];
  const tool = tools.find((name) => !isOnPath(name));
  if (tool !== undefined) return `there is no ${tool}`;
  const held = effectiveCapabilities();
  const lacking = capabilities.find((number) => (held & (1n << BigInt(number))) === 0n);
  return lacking === undefined ? undefined : `the process lacks the capability ${lacking}`;
}

function isOnPath(tool: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function effectiveCapabilities(): bigint {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  } catch {
    return 0n;
  }
}
