import { BadRequestException, Body, ValidationPipe } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { type ValidationError, validateSync } from 'class-validator';
import type { InputIssue, StandardSchemaV1 } from 'event-sessions';

type Dto<T extends object> = new () => T;

const RULES = { whitelist: true, forbidNonWhitelisted: true };

/**
 * A body that fits its DTO, or a 400 that names what does not. The type is given, not read from metadata, so no
 * `emitDecoratorMetadata` is needed; with it, `app.useGlobalPipes(new ValidationPipe(…))` does the same.
 */
export const ValidBody = (dto: Dto<object>) => Body(new DtoPipe(dto));

class DtoPipe extends ValidationPipe {
  constructor(expectedType: Dto<object>) {
    super({ ...RULES, transform: true, expectedType, exceptionFactory: invalidBody });
  }

  override async transform(...args: Parameters<ValidationPipe['transform']>) {
    try {
      return await super.transform(...args);
    } catch (error) {
      // Nested so deeply that walking through it overflows the stack.
      if (error instanceof RangeError) throw new BadRequestException('The body is nested too deeply.');
      throw error;
    }
  }
}

function invalidBody(errors: ValidationError[]): BadRequestException {
  return new BadRequestException({ message: 'The body is not valid.', issues: issuesOf(errors) });
}

/** A DTO as the schema of an event: what the catalogue of `createEventSessions` takes. */
export function dtoSchema<T extends object>(dto: Dto<T>): StandardSchemaV1<T> {
  return { '~standard': { version: 1, vendor: 'class-validator', validate } };

  function validate(data: unknown): StandardSchemaV1.Result<T> {
    const value: unknown = plainToInstance(dto, data);
    // An array becomes an array of instances, and anything but an object stays what it is.
    if (!(value instanceof dto)) return { issues: [{ message: 'must be an object' }] };
    const issues = issuesOf(validateSync(value, RULES));
    return issues.length > 0 ? { issues: issues.map(asSchemaIssue) } : { value };
  }
}

function asSchemaIssue({ path, message }: InputIssue): StandardSchemaV1.Issue {
  return { path: path.split('.'), message };
}

function issuesOf(errors: readonly ValidationError[], parents: readonly string[] = []): InputIssue[] {
  return errors.flatMap(({ property, constraints = {}, children = [] }) => {
    const path = [...parents, property];
    const own = Object.values(constraints).map((message) => ({ path: path.join('.'), message }));
    return [...own, ...issuesOf(children, path)];
  });
}
