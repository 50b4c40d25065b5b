import * as z from 'zod/mini';
import type { LogContext, Logger } from '../ports/logger.js';
import { catchRejection } from './errors.js';
import { validate, withMethods } from './validate.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** A logger that throws, or that rejects, must not change what the library does. */
export function safeLogger(logger: Logger): Logger {
  const safe = {} as Record<(typeof LEVELS)[number], (message: string, context?: LogContext) => void>;
  for (const level of LEVELS) {
    safe[level] = (message, context) => {
      try {
        catchRejection(logger[level](message, context), () => {});
      } catch {
        // There is nobody left to tell.
      }
    };
  }
  return safe;
}

/** Only warnings and errors: a library should say no more unasked. */
const consoleLogger: Logger = {
  debug() {},
  info() {},
  warn: (message, context) => console.warn(`[event-sessions] ${message}`, context ?? ''),
  error: (message, context) => console.error(`[event-sessions] ${message}`, context ?? ''),
};

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** The option `logger`. */
export const loggerSchema = z.optional(
  z.union([z.literal(false), withMethods<Logger>('', ...LEVELS)], {
    error: 'a logger with the methods debug, info, warn and error (for pino: pinoLogger(pino)), or false',
  }),
);

/** The logger that the option `logger` stands for: the console by default, none for `false`. */
export function loggerOf(option: Logger | false | undefined): Logger {
  return option === false ? silentLogger : safeLogger(option ?? consoleLogger);
}

/** The part of a pino logger that is used. */
export interface PinoLike {
  debug(context: object, message: string): void;
  info(context: object, message: string): void;
  warn(context: object, message: string): void;
  error(context: object, message: string): void;
}

const pinoSchema = withMethods<PinoLike>('a pino logger', ...LEVELS);

/**
 * A pino logger as a {@link Logger}: pino takes the context before the message.
 *
 * @throws `INVALID_INPUT` for what is not a logger.
 */
export function pinoLogger(pino: PinoLike): Logger {
  validate(pinoSchema, pino, 'pinoLogger');
  return {
    debug: (message, context) => pino.debug(context ?? {}, message),
    info: (message, context) => pino.info(context ?? {}, message),
    warn: (message, context) => pino.warn(context ?? {}, message),
    error: (message, context) => pino.error(context ?? {}, message),
  };
}
