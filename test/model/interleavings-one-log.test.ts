import { test } from 'vitest';
import { checkInterleavings } from './interleavings.js';

test('G1–G8: any interleaving of calls of two processes on one log, with faults', () =>
  checkInterleavings(4_000, { sharesLog: true, fails: true }));
