/**
 * `event-sessions/nsq`: publishing to nsqd, over nsqjs.
 *
 * @module
 */
export type { NsqPublisherOptions, NsqReconnectOptions } from './nsq-options.js';
export { nsqPublisher } from './nsq-publisher.js';
