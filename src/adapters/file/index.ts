/**
 * `event-sessions/file`: the contingency log on the local disk.
 *
 * ```ts
 * createEventSessions({ contingency: fileContingency({ path: '/var/lib/shop/contingency-log.jsonl' }) });
 * ```
 *
 * @module
 */
export { type FileContingencyOptions, fileContingency } from './file-contingency.js';
