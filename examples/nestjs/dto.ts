import { IsDefined, IsInt, IsObject, IsOptional, IsString, Length, Matches, Min } from 'class-validator';

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const idMessage = { message: '$property must have 1 to 128 characters A-Z a-z 0-9 _ -' };

export class StartSessionDto {
  /** The client's own id makes the start idempotent. */
  @IsOptional()
  @Matches(ID, idMessage)
  readonly sessionId?: string;

  @IsOptional()
  @IsObject()
  readonly metadata?: Record<string, unknown>;
}

export class AddEventDto {
  @IsString()
  @Length(1, 256)
  readonly type!: string;

  /** What is in it depends on the type: the catalogue validates that. */
  @IsDefined()
  readonly data!: unknown;

  /** The client's own id makes the add idempotent. */
  @IsOptional()
  @Matches(ID, idMessage)
  readonly id?: string;
}

export class CommitSessionDto {
  /** Refuses the commit when events got lost on the way here. */
  @IsOptional()
  @IsInt()
  @Min(0)
  readonly expectedEvents?: number;
}

export class RollbackSessionDto {
  @IsOptional()
  @IsString()
  @Length(1, 1_000)
  readonly reason?: string;
}
