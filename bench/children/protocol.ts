import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What a child of a bench was asked to do. */
export function jobOf<J>(): J {
  return JSON.parse(process.argv[2] ?? '{}') as J;
}

/** Says that it is ready, waits to be let go, and says the result. */
export async function whenLetGo(work: () => Promise<Record<string, number>>): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  console.log('ready');
  await new Promise((resolve) => lines.once('line', resolve));
  console.log(JSON.stringify(await work()));
  lines.close();
}

/** By how many MiB the resident memory grew at its peak. */
export async function growthOf(work: () => Promise<unknown>): Promise<number> {
  globalThis.gc?.();
  forgetPeak();
  const before = statusOf('VmRSS');
  await work();
  return (statusOf('VmHWM') - before) / 1_024;
}

/** Linux forgets the peak of a process that writes 5 here. */
function forgetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5');
}

/** In KiB. */
function statusOf(field: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(line?.[1]);
}
