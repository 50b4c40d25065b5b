/**
 * Where the library says what a person should know. A winston logger and `console` fit as they are; pino takes its
 * arguments the other way round, see `pinoLogger`.
 *
 * Contexts carry `sessionId` where there is one, counts and codes. Never event data, never metadata.
 */
export interface Logger {
  debug(message: string, context?: LogContext): void;
  info(message: string, context?: LogContext): void;
  warn(message: string, context?: LogContext): void;
  error(message: string, context?: LogContext): void;
}

export type LogContext = Readonly<Record<string, unknown>>;
