import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { EventsController } from './events.controller.js';
import { MetricsController } from './metrics.controller.js';
import { ProblemFilter } from './problem.filter.js';

/** The HTTP face of the sessions. `EventSessionsModule` gives it the instance. */
@Module({
  controllers: [EventsController, MetricsController],
  providers: [{ provide: APP_FILTER, useClass: ProblemFilter }],
})
export class EventsModule {}
