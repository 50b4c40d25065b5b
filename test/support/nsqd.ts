import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Reader } from 'nsqjs';
import { nsqdBinaries } from './nsqd-binaries.js';
import { freePort, type RunningProcess, startProcess } from './process.js';
import { dieWithUs } from './reaper.js';

export { type NsqBinaries, nsqdBinaries } from './nsqd-binaries.js';

const HOST = '127.0.0.1';

export interface RunningNsqd {
  /** `host:port` of the TCP protocol; the same after `restart()`, as is `http`. */
  readonly tcp: string;
  readonly http: string;
  readonly version: string;
  /** Of the process that runs now: another one after `restart()`. */
  readonly pid: number;
  /** What the process that runs now has logged. */
  output(): string;
  /** `SIGSTOP` makes it hang, `SIGCONT` goes on, `SIGKILL` is a crash: then only what was on disk comes back. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it and removes the folder it made for itself. Repeating it is fine. */
  stop(): Promise<void>;
  /** Ends it in an orderly way, so that it keeps its messages, and starts a new process on the same ports and data. */
  restart(): Promise<void>;
}

export interface NsqdOptions {
  /** More arguments: `['--mem-queue-size=0']`. */
  args?: readonly string[];
  /** A free one by default. */
  tcpPort?: number;
  /** Kept after `stop()`. By default a temporary folder. */
  dataPath?: string;
}

const file = (name: string) => fileURLToPath(new URL(`./tls/${name}`, import.meta.url));

/** Arguments of a nsqd that refuses every TCP connection without TLS, and answers over HTTP as ever. */
export const TLS_REQUIRED: readonly string[] = [
  '--tls-required=tcp-https',
  `--tls-cert=${file('cert.pem')}`,
  `--tls-key=${file('key.pem')}`,
  '--https-address=',
];

/** Starts a nsqd of the tests' own, on 127.0.0.1 only. Throws a plain reason if it cannot. */
export async function startNsqd(options: NsqdOptions = {}): Promise<RunningNsqd> {
  const { nsqd } = await nsqdBinaries();
  const dataPath = options.dataPath ?? (await mkdtemp(join(tmpdir(), 'event-sessions-nsqd-')));
  const removeData = async () => {
    if (options.dataPath === undefined) await rm(dataPath, { recursive: true, force: true });
  };
  try {
    const { ports, launched } = await launchOnPorts(nsqd, dataPath, options);
    return handle(ports, launched, () => launch(nsqd, ports, dataPath, options.args), removeData);
  } catch (error) {
    await removeData();
    throw error;
  }
}

interface Ports {
  readonly tcp: number;
  readonly http: number;
}

interface Launched {
  readonly process: RunningProcess;
  readonly version: string;
  stop(): Promise<void>;
}

/** A free port may be taken by somebody else before nsqd has it: then other ones are tried. */
async function launchOnPorts(nsqd: string, dataPath: string, options: NsqdOptions) {
  for (let attempt = 1; ; attempt++) {
    const ports = { tcp: options.tcpPort ?? (await freePort()), http: await freePort() };
    try {
      return { ports, launched: await launch(nsqd, ports, dataPath, options.args) };
    } catch (error) {
      if (options.tcpPort !== undefined || attempt === 3) throw error;
    }
  }
}

async function launch(
  nsqd: string,
  ports: Ports,
  dataPath: string,
  args: readonly string[] = [],
): Promise<Launched> {
  const own = [
    `--tcp-address=${HOST}:${ports.tcp}`,
    `--http-address=${HOST}:${ports.http}`,
    `--broadcast-address=${HOST}`,
    `--data-path=${dataPath}`,
  ];
  let version = '';
  const process = await startProcess(nsqd, [...own, ...args], async () => {
    const response = await fetch(`http://${HOST}:${ports.http}/info`, { signal: AbortSignal.timeout(2_000) });
    const info = (await response.json()) as { version: string; tcp_port: number };
    if (info.tcp_port !== ports.tcp) throw new Error(`another nsqd answers on port ${ports.http}`);
    version = info.version;
  });
  const forget = dieWithUs(process.pid);
  return {
    process,
    version,
    async stop() {
      // Under SIGSTOP it would not hear a SIGTERM.
      process.signal('SIGCONT');
      await process.stop();
      forget();
    },
  };
}

function handle(
  ports: Ports,
  launched: Launched,
  again: () => Promise<Launched>,
  removeData: () => Promise<void>,
): RunningNsqd {
  let current = launched;
  return {
    tcp: `${HOST}:${ports.tcp}`,
    http: `${HOST}:${ports.http}`,
    version: launched.version,
    get pid() {
      return current.process.pid;
    },
    output: () => current.process.output(),
    signal: (signal) => current.process.signal(signal),
    async stop() {
      await current.stop();
      await removeData();
    },
    async restart() {
      await current.stop();
      current = await again();
    },
  };
}

export interface ConsumeOptions {
  /** Resolves as soon as so many have come; what came in the same moment is included. */
  count: number;
  /** Default `tests`. What one `consume` did not take is there for the next one on the same channel. */
  channel?: string;
  /** Default 15,000. */
  timeoutMs?: number;
}

/** Reads messages back with a Reader of nsqjs: their bodies, in the order in which they came. */
export async function consume(nsqdTcp: string, topic: string, options: ConsumeOptions): Promise<string[]> {
  const { count, channel = 'tests', timeoutMs = 15_000 } = options;
  const bodies: string[] = [];
  const reader = new Reader(topic, channel, { nsqdTCPAddresses: [nsqdTcp], maxInFlight: 100 });
  const closed = new Promise((resolve) => reader.once('nsqd_closed', resolve));
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`${bodies.length} of ${count} messages of ${topic} came within ${timeoutMs} ms`));
      }, timeoutMs);
      reader.on('error', reject);
      reader.on('message', (message) => {
        bodies.push(message.body.toString());
        message.finish();
        if (bodies.length >= count) resolve();
      });
      reader.connect();
    });
  } finally {
    clearTimeout(timer);
    reader.on('error', () => {});
    reader.close();
    await closed;
  }
  return bodies;
}
