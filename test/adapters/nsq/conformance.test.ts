import { connect } from 'node:net';
import { nsqPublisher } from 'event-sessions/nsq';
import { eventPublisherCases } from 'event-sessions/testing';
import { describe, expect, test } from 'vitest';
import { consume, startNsqd } from '../../support/nsqd.js';
import { describeWith } from '../../support/services.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';

/** From the first message on, though nsqd gives each only once. */
function consumer(tcp: string) {
  const bodies = new Map<string, string[]>();
  return async (topic: string, count: number) => {
    const before = bodies.get(topic) ?? [];
    const missing = count - before.length;
    const all = missing > 0 ? [...before, ...(await consume(tcp, topic, { count: missing }))] : before;
    bodies.set(topic, all);
    return all;
  };
}

const aPublisher = (nsqd: string) => nsqPublisher({ nsqd, deadlineMs: 2_000, connectTimeoutMs: 1_000 });

async function isRefused(tcp: string): Promise<boolean> {
  const [host, port] = tcp.split(':');
  const socket = connect(Number(port), host);
  const refused = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
  });
  socket.destroy();
  return refused;
}

describeWith('nsqd', ({ tcp }) => {
  async function makeBehindProxy() {
    const [host = '', port] = tcp.split(':');
    const proxy = await startTcpProxy({ host, port: Number(port) });
    return {
      proxy,
      publisher: aPublisher(`127.0.0.1:${proxy.port}`),
      consume: consumer(tcp),
      dispose: () => proxy.close(),
    };
  }

  describe('nsqPublisher conforms, also when connections are cut and refused', () => {
    const cases = eventPublisherCases(
      async () => ({ publisher: nsqPublisher({ nsqd: tcp }), consume: consumer(tcp) }),
      {
        async makeBreakable() {
          const { proxy, ...under } = await makeBehindProxy();
          return {
            ...under,
            async makeUnreachable() {
              proxy.mode = 'refuse';
              proxy.cut();
              return async () => {
                proxy.mode = 'pass';
              };
            },
          };
        },
      },
    );
    for (const { name, run } of cases) test(name, run);
  });

  describe('nsqPublisher conforms when what it sends arrives, and nothing comes back', () => {
    const cases = eventPublisherCases(makeBehindProxy, {
      async makeBreakable() {
        const { proxy, ...under } = await makeBehindProxy();
        return {
          ...under,
          async makeUnreachable() {
            proxy.mode = 'mute';
            return async () => {
              proxy.cut();
              proxy.mode = 'pass';
            };
          },
        };
      },
    });
    for (const { name, run } of cases) test(name, run);
  });

  describe('nsqPublisher conforms when nsqd is killed and started again', () => {
    const cases = eventPublisherCases(makeBehindProxy, {
      async makeBreakable() {
        const nsqd = await startNsqd({ args: ['--mem-queue-size=0', '--sync-every=1'] });
        return {
          publisher: aPublisher(nsqd.tcp),
          consume: consumer(nsqd.tcp),
          dispose: () => nsqd.stop(),
          async makeUnreachable() {
            nsqd.signal('SIGKILL');
            await expect.poll(() => isRefused(nsqd.tcp)).toBe(true);
            return () => nsqd.restart();
          },
        };
      },
    });
    for (const { name, run } of cases) if (name.startsWith('outage')) test(name, run);
  });
});
