/**
 * `event-sessions/testing`: the conformance suites of the three ports, for those who write an adapter. The cases are
 * plain functions on `node:assert`; run them with any test runner.
 *
 * @module
 */
export type { ConformanceCase } from './conformance-case.js';
export {
  type ContingencyLogCaseOptions,
  type ContingencyLogUnderTest,
  contingencyLogCases,
} from './contingency-cases.js';
export { eventPublisherCases, type PublisherCaseOptions } from './publisher-cases.js';
export type { BreakablePublisherUnderTest, PublisherUnderTest } from './publisher-under-test.js';
export { type StoreUnderTest, sessionStoreCases } from './store-cases.js';
