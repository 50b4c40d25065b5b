import { test } from 'vitest';
import { checkInterleavings } from './interleavings.js';

test('G1–G8: any interleaving of calls of two hosts, each with a log of its own, with faults', () =>
  checkInterleavings(4_000, { sharesLog: false, fails: true }));
