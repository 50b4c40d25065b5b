import { EventSessionsError } from '../../core/errors.js';
import { isTopic, TOPIC_RULE } from '../../core/topic.js';
import type { EventPublisher } from '../../ports/event-publisher.js';
import { encodeRequests } from './encode-requests.js';
import { reasonOf, toError } from './nsq-failure.js';
import { type NsqPublisherOptions, nsqSettings } from './nsq-options.js';
import { publishLine } from './publish-line.js';

/**
 * Publishes to nsqd over its TCP protocol, with nsqjs.
 *
 * It connects at the first `publish` or `ping`, to one nsqd at a time; a lost connection is replaced when the next one
 * is needed. A call in progress keeps the process running, for its deadline at most; an idle publisher does not.
 *
 * `publish` also rejects with `INVALID_TOPIC` (nsqd would take a line break in a topic for the end of the command) and,
 * after `close`, with `CLOSED`; nothing was published then, as their `outcome` says. For a batch that was cut into
 * several requests, `refused` means that one of them was refused; those before it are published.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function nsqPublisher(options: NsqPublisherOptions = {}): EventPublisher {
  const settings = nsqSettings(options);
  const line = publishLine(settings);
  const pings = new Set<Promise<void>>();
  let closing: Promise<void> | undefined;

  async function drain(): Promise<void> {
    await Promise.allSettled([line.drained(), ...pings]);
    line.nsqd.close(new Error('the publisher was closed'));
  }

  async function ping(): Promise<void> {
    const { deadlineMs } = settings;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
    });
    try {
      await Promise.race([reachNsqd(), deadline]);
    } catch (error) {
      const message = `No nsqd can be reached: ${reasonOf(error)}. Check that it runs and that 'nsqd' names it.`;
      throw new EventSessionsError('PUBLISH_FAILED', message, { outcome: 'not_done' }, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * nsqd has no command that does nothing and is answered, so a connection is tested by a second one. Each loss of a
   * connection leads to the next nsqd.
   */
  async function reachNsqd(): Promise<void> {
    for (let others = settings.nsqd.length; ; others -= 1) {
      const connection = await line.nsqd.connect();
      try {
        return await line.nsqd.probe(connection.address);
      } catch (error) {
        // What is in flight has its own deadline; it may get through where a new connection does not.
        if (connection.inFlightBytes > 0) throw error;
        connection.destroy(toError(error));
        if (others === 0) throw error;
      }
    }
  }

  return {
    limits: { maxEventBytes: settings.maxMessageBytes - (settings.codec.overheadBytes ?? 0) },
    publish(batch) {
      const { sessionId, topic } = batch;
      if (closing !== undefined) return Promise.reject(closed({ sessionId, topic }));
      if (!isTopic(topic)) return Promise.reject(invalidTopic(sessionId, topic));
      return line.publish(batch, () => encodeRequests(batch, settings));
    },
    async ping() {
      if (closing !== undefined) throw closed();
      const result = ping();
      pings.add(result);
      await result.finally(() => pings.delete(result));
    },
    close() {
      closing ??= drain();
      return closing;
    },
  };
}

function closed(facts: { sessionId?: string; topic?: string } = {}): EventSessionsError {
  const message = 'The nsqPublisher was closed; make a new one to publish again';
  return new EventSessionsError('CLOSED', message, { ...facts, outcome: 'not_done' });
}

function invalidTopic(sessionId: string, topic: string): EventSessionsError {
  const message = `${JSON.stringify(topic)} is not a topic that NSQ takes: ${TOPIC_RULE}`;
  return new EventSessionsError('INVALID_TOPIC', message, { sessionId, topic, outcome: 'refused' });
}
