import { createEventSessions, memoryPublisher, memoryStore } from 'event-sessions';
import { nsqPublisher } from 'event-sessions/nsq';
import { redisStore } from 'event-sessions/redis';

// Never closed, with its loops on: nothing of it may keep this process from ending.
const [url, nsqd] = process.argv.slice(2);
const sessions = createEventSessions({
  store: url === undefined ? memoryStore() : redisStore({ url }),
  publisher: nsqd === undefined ? memoryPublisher() : nsqPublisher({ nsqd }),
});
sessions.on('metrics.snapshot', () => {});
const { receipt } = await sessions.transaction((session) => session.add('good-guest', 1));
console.log(receipt.status);
