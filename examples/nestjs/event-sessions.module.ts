import {
  ConfigurableModuleBuilder,
  Global,
  Inject,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { createEventSessions, type EventSessions, type EventSessionsOptions } from 'event-sessions';

export const EVENT_SESSIONS = Symbol('EventSessions');

/** A parameter that gets the application's `EventSessions`. */
export const InjectEventSessions = () => Inject(EVENT_SESSIONS);

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<EventSessionsOptions>().setClassMethodName('forRoot').build();

/**
 * `EventSessionsModule.forRoot(options)`, or `forRootAsync({ inject, useFactory })` when the options need other
 * providers. One instance for the whole application.
 *
 * It closes the instance behind the HTTP server: `onApplicationShutdown` is the hook that Nest calls when the requests
 * under way have had their answers. Without `enableShutdownHooks()` no signal calls it.
 */
@Global()
@Module({
  providers: [{ provide: EVENT_SESSIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: createEventSessions }],
  exports: [EVENT_SESSIONS],
})
export class EventSessionsModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(@InjectEventSessions() private readonly sessions: EventSessions) {
    super();
  }

  onApplicationShutdown(): Promise<void> {
    return this.sessions.close();
  }
}
