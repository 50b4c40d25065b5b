import { Controller, Get } from '@nestjs/common';
import type { EventSessions, MetricsSnapshot } from 'event-sessions';
import { InjectEventSessions } from './event-sessions.module.js';

@Controller('metrics')
export class MetricsController {
  constructor(@InjectEventSessions() private readonly sessions: EventSessions) {}

  @Get()
  snapshot(): Promise<MetricsSnapshot> {
    return this.sessions.queries.getMetrics();
  }
}
