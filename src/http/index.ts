export { createHttpHandler, type HttpHandler, type HttpOptions } from './handler.js';
export type { PrometheusRegistry } from './metrics-controller.js';
export type { ProblemCode } from './problem.js';
export type { Action } from './route.js';
