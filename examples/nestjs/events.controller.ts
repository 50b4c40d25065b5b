import {
  Controller,
  DefaultValuePipe,
  Get,
  HttpCode,
  Param,
  ParseIntPipe,
  Post,
  Query,
  UseInterceptors,
} from '@nestjs/common';
import type {
  AddReceipt,
  CommitReceipt,
  EventPage,
  EventSessions,
  RollbackReceipt,
  SessionStatusView,
  StartReceipt,
} from 'event-sessions';
import { DeferredInterceptor } from './deferred.interceptor.js';
import { AddEventDto, CommitSessionDto, RollbackSessionDto, StartSessionDto } from './dto.js';
import { InjectEventSessions } from './event-sessions.module.js';
import { ValidBody } from './validation.js';

/** One request starts a session, others add to it, the last one commits it or rolls it back. */
@Controller('sessions')
@UseInterceptors(DeferredInterceptor)
export class EventsController {
  constructor(@InjectEventSessions() private readonly sessions: EventSessions) {}

  @Post()
  start(@ValidBody(StartSessionDto) body: StartSessionDto): Promise<StartReceipt> {
    return this.sessions.commands.startSession(body);
  }

  @Post(':id/events')
  add(@Param('id') id: string, @ValidBody(AddEventDto) body: AddEventDto): Promise<AddReceipt> {
    return this.sessions.session(id).add(body.type, body.data, { id: body.id });
  }

  @Post(':id/commit')
  @HttpCode(200)
  commit(
    @Param('id') sessionId: string,
    @ValidBody(CommitSessionDto) body: CommitSessionDto,
  ): Promise<CommitReceipt> {
    return this.sessions.commands.commitSession({ sessionId, ...body });
  }

  @Post(':id/rollback')
  @HttpCode(200)
  rollback(
    @Param('id') sessionId: string,
    @ValidBody(RollbackSessionDto) body: RollbackSessionDto,
  ): Promise<RollbackReceipt> {
    return this.sessions.commands.rollbackSession({ sessionId, ...body });
  }

  @Get(':id')
  status(@Param('id') sessionId: string): Promise<SessionStatusView> {
    return this.sessions.queries.getSessionStatus({ sessionId });
  }

  @Get(':id/events')
  events(
    @Param('id') sessionId: string,
    @Query('after', new DefaultValuePipe(0), ParseIntPipe) after: number,
    @Query('limit', new DefaultValuePipe(100), ParseIntPipe) limit: number,
  ): Promise<EventPage> {
    return this.sessions.queries.getSessionEvents({ sessionId, after, limit });
  }
}
