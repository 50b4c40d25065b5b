import { parseNsqdAddress } from '../../adapters/nsq/nsqd-address.js';
import { messageOf } from '../../core/errors.js';
import type { Settings } from '../settings.js';
import { bytesText } from '../wording.js';
import { type Check, type CheckGroup, error, isAtLeast, ok, warning } from './check.js';
import { type NsqdFacts, probeNsqd } from './nsqd-probe.js';

const OLDEST = '1.3';
const HTTP_DEADLINE_MS = 2_000;

export async function nsqdChecks(address: string, settings: Settings): Promise<CheckGroup> {
  const group = { title: 'nsqd', target: address };
  let facts: NsqdFacts;
  try {
    facts = await probeNsqd(address);
  } catch (failure) {
    const advice = 'check that it runs, that this is its TCP address, and that no firewall is in between';
    return {
      ...group,
      checks: [error('nsqd.reachable', `cannot be reached: ${messageOf(failure)}`, advice)],
    };
  }
  const { version, authRequired, tlsRequired, maxMessageBytes, maxRequestBytes } = facts;
  const checks: Check[] = [
    ok('nsqd.reachable', 'reachable'),
    isAtLeast(version, OLDEST)
      ? ok('nsqd.version', `version ${version}`)
      : warning('nsqd.version', `version ${version}`, `${OLDEST} is what event-sessions is tested on`),
    ...(authRequired ? [error('nsqd.auth', 'wants AUTH, which nsqPublisher does not do')] : []),
    ...(tlsRequired
      ? [error('nsqd.tls', 'wants TLS, which nsqPublisher does not do', 'start nsqd without --tls-required')]
      : []),
    limit('max-msg-size', maxMessageBytes, settings.maxMessageBytes, 'maxMessageBytes'),
    limit('max-body-size', maxRequestBytes, settings.maxRequestBytes, 'maxRequestBytes'),
    ...(await overHttp(address, settings.nsqdHttp)),
  ];
  return { ...group, checks };
}

function limit(option: string, found: number | undefined, setting: number, name: string): Check {
  const check = `nsqd.${option}`;
  if (found === undefined) return warning(check, `--${option} cannot be told`);
  const text = `--${option} ${found} (${bytesText(found)})`;
  if (found >= setting) return ok(check, `${text}, the publisher sends up to ${bytesText(setting)}`);
  return error(
    check,
    `${text}, but the publisher sends up to ${bytesText(setting)}: nsqd cuts the connection at what is larger`,
    `start nsqd with --${option}=${setting}, or give nsqPublisher ${name}: ${found}`,
  );
}

/** What only the HTTP port tells. The port is the one above the TCP port, as by default, unless it was named. */
async function overHttp(address: string, named: readonly string[]): Promise<Check[]> {
  const parsed = parseNsqdAddress(address);
  if (parsed === undefined) return [];
  const { host, port } = parsed;
  const guessed = `${host.includes(':') ? `[${host}]` : host}:${port + 1}`;
  const candidates = named.length > 0 ? named : [guessed];
  for (const candidate of candidates) {
    const info = await get(candidate, '/info').catch(() => undefined);
    const isIt = info !== undefined && tcpPortIn(info.text) === port;
    if (!isIt) continue;
    const memory = await get(candidate, '/config/mem_queue_size').catch(() => undefined);
    const health = await get(candidate, '/ping').catch(() => undefined);
    return [
      memoryQueue(memory?.text),
      ...(health === undefined || health.ok ? [] : [unhealthy(health.text)]),
    ];
  }
  const advice =
    "name its HTTP address with --nsqd-http, or look at nsqd's command line yourself: it should be 0";
  return [
    warning(
      'nsqd.mem-queue-size',
      `--mem-queue-size is unknown: no HTTP port of this nsqd at ${candidates.join(', ')}`,
      advice,
    ),
  ];
}

/** Of what a nsqd tells of itself; who knows what listens there. */
function tcpPortIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { tcp_port?: unknown } | null)?.tcp_port;
  } catch {
    return undefined;
  }
}

function memoryQueue(text: string | undefined): Check {
  const name = 'nsqd.mem-queue-size';
  const size = Number(text);
  if (text === undefined || !Number.isInteger(size))
    return warning(name, '--mem-queue-size is unknown: its HTTP port does not tell it');
  if (size === 0) return ok(name, '--mem-queue-size 0: acknowledged messages are on its disk');
  return warning(
    name,
    `--mem-queue-size ${size}: a crash loses up to so many acknowledged messages of each topic and channel`,
    'start nsqd with --mem-queue-size=0',
  );
}

function unhealthy(text: string): Check {
  return error(
    'nsqd.health',
    `says that it is not well: ${text.slice(0, 200)}`,
    'look into its log, and at its disk',
  );
}

async function get(address: string, path: string): Promise<{ ok: boolean; text: string }> {
  const response = await fetch(`http://${address}${path}`, { signal: AbortSignal.timeout(HTTP_DEADLINE_MS) });
  return { ok: response.ok, text: await response.text() };
}
