/**
 * nsqd's rule for the names of topics (nsqd 1.3.0, `internal/protocol/names.go`): at most 64 characters in all,
 * `#ephemeral` included. Such names also suit Kafka, RabbitMQ and Redis, so it holds for every publisher.
 */
const TOPIC = /^(?=.{1,64}$)[.a-zA-Z0-9_-]+(#ephemeral)?$/;

export const TOPIC_RULE = '1 to 64 characters A-Z a-z 0-9 . _ -, of which the last may be #ephemeral';

export function isTopic(topic: unknown): topic is string {
  return typeof topic === 'string' && TOPIC.test(topic);
}
