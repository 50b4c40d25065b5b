/**
 * Where the library logs. A winston logger and `console` fit as they are; for pino, which takes its arguments the other
 * way round, there is `pinoLogger`.
 *
 * The context has the `sessionId`, where there is one, counts and codes; never the data of events, never metadata.
 */
export interface Logger {
  debug(message: string, context?: LogContext): void;
  info(message: string, context?: LogContext): void;
  warn(message: string, context?: LogContext): void;
  error(message: string, context?: LogContext): void;
}

export type LogContext = Readonly<Record<string, unknown>>;
