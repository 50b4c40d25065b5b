import { Module } from '@nestjs/common';
import { EventSessionsModule } from './event-sessions.module.js';
import { EventsModule } from './events.module.js';
import { eventSessionsOptions } from './settings.js';

@Module({
  imports: [
    EventSessionsModule.forRootAsync({ useFactory: () => eventSessionsOptions(process.env) }),
    EventsModule,
  ],
})
export class AppModule {}
