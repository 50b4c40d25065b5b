#!/usr/bin/env node
import { createRequire } from 'node:module';
import { EXIT } from './exit-codes.js';
import { guarded } from './guarded-output.js';
import { main } from './main.js';

/** The edge: only here are the process's arguments, streams and signals touched, and only here does it end. */
const { version } = createRequire(import.meta.url)('event-sessions/package.json') as { version: string };
const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // Asked twice: at once. Every command can be ended anywhere without losing anything.
    if (controller.signal.aborted) process.exit(signal === 'SIGTERM' ? 143 : 130);
    controller.abort(signal);
  });
}
const stdout = guarded(process.stdout);
const stderr = guarded(process.stderr);
const code = await main({
  args: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  version,
  stdout,
  stderr,
  signal: controller.signal,
});
const unwritten = await stdout.flushed();
if (unwritten !== undefined)
  stderr.write(`event-sessions: the output cannot be written: ${unwritten.message}\n`);
await stderr.flushed();
// A client that the config file made may hold the process open.
process.exit(unwritten === undefined ? code : code || EXIT.left);
