import { readdirSync, readFileSync } from 'node:fs';

/** Processor time spent, in microseconds, by name of who spent it. */
export type CpuTimes = Readonly<Record<string, number>>;

/**
 * This process and the servers. Unlike a rate, it hardly depends on what else runs on the machine, and it tells where
 * the time goes. Empty for a server where there is no /proc.
 */
export function cpuTimes(servers: Readonly<Record<string, number>>): CpuTimes {
  const { user, system } = process.cpuUsage();
  const times: Record<string, number> = { node: user + system };
  for (const [name, pid] of Object.entries(servers)) {
    const time = timeOf(pid);
    if (time !== undefined) times[name] = time;
  }
  return times;
}

export function cpuPerEvent(before: CpuTimes, after: CpuTimes, events: number): CpuTimes {
  return Object.fromEntries(
    Object.entries(after).map(([name, time]) => [name, (time - (before[name] ?? 0)) / events]),
  );
}

/** Over all threads. The first number of a `schedstat` is nanoseconds on a processor. */
function timeOf(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
      const nanoseconds = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0];
      return sum + Number(nanoseconds) / 1_000;
    }, 0);
  } catch {
    return undefined;
  }
}
