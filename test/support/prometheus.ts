import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startProcess } from './process.js';
import { prometheusBinaries } from './prometheus-binaries.js';
import { dieWithUs } from './reaper.js';

export { type PrometheusBinaries, prometheusBinaries } from './prometheus-binaries.js';

export interface RunningPrometheus {
  /** What a PromQL query answers now: each series with its labels and its value. */
  query(promql: string): Promise<readonly Sample[]>;
  /** The state of its only target: `up`, or why it is not. */
  target(): Promise<{ readonly health: string; readonly lastError: string }>;
  stop(): Promise<void>;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const HOST = '127.0.0.1';

/** Starts a Prometheus of the tests' own that scrapes `http://<target>/metrics` every second. */
export async function startPrometheus(target: string): Promise<RunningPrometheus> {
  const { prometheus } = await prometheusBinaries();
  const folder = await mkdtemp(join(tmpdir(), 'event-sessions-prometheus-'));
  const config = join(folder, 'prometheus.yml');
  // JSON is YAML.
  const scrape = {
    scrape_configs: [{ job_name: 'tests', scrape_interval: '1s', static_configs: [{ targets: [target] }] }],
  };
  await writeFile(config, JSON.stringify(scrape));
  const address = `${HOST}:${await freePort()}`;
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ];
  const remove = () => rm(folder, { recursive: true, force: true });
  const ready = async () => {
    const { ok, status } = await fetch(`http://${address}/-/ready`);
    if (!ok) throw new Error(`not ready: ${status}`);
  };
  const process = await startProcess(prometheus, args, ready).catch(async (error) => {
    await remove();
    throw error;
  });
  const forget = dieWithUs(process.pid);

  async function api<T>(path: string): Promise<T> {
    const response = await fetch(`http://${address}/api/v1/${path}`);
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string };
    if (status !== 'success') throw new Error(error);
    return data;
  }

  return {
    async query(promql) {
      const { result } = await api<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(promql)}`,
      );
      return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    async target() {
      const { activeTargets } = await api<{ activeTargets: { health: string; lastError: string }[] }>(
        'targets',
      );
      const [only] = activeTargets;
      if (only === undefined) throw new Error('Prometheus has no target');
      return only;
    },
    async stop() {
      await process.stop('SIGKILL');
      forget();
      await remove();
    },
  };
}
