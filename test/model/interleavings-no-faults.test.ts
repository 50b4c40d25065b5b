import { test } from 'vitest';
import { checkInterleavings } from './interleavings.js';

test('G1–G8: any interleaving of calls of two instances, without faults', () =>
  checkInterleavings(2_000, { sharesLog: true, fails: false }));
