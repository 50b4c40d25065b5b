import { describe, expect, test } from 'vitest';
import { MIN_OVERDUE_MS } from '../../../src/adapters/redis/script.js';
import { type SessionState, stateAfter, toState } from '../../../src/adapters/redis/session-state.js';

const STATE: SessionState = {
  events: 17,
  elements: 3,
  bytes: 5_000,
  largest: 400,
  expiresAt: 1_000_000,
  keepUntil: 1_000_000 + MIN_OVERDUE_MS + 500_000,
  now: 900_000,
  askedAt: 50,
  ttlMs: 100_000,
  writer: 'me-',
  ranges: '1 5 8 ',
  last: 20,
};
const LIMITS = { maxSessionEvents: 100, maxSessionBytes: 10_000 };
const run = (change = {}) => ({ prefix: 'me-', first: 21, length: 2, ...change });
const elements = (change = {}) => ({ texts: ['18 t {}\nt {}'], bytes: 4, largest: 9, ...change });
const made = ({ state = {}, by = {}, of = {}, limits = {}, ageMs = 1_000 } = {}) =>
  stateAfter({ ...STATE, ...state }, run(by), elements(of), { ...LIMITS, ...limits }, STATE.askedAt + ageMs);

describe('what an append makes of a session', () => {
  test('is worked out without asking', () => {
    expect(made()).toEqual({
      ...STATE,
      events: 19,
      elements: 4,
      bytes: 5_004,
      expiresAt: 900_000 + 1_000 + 100_000,
      ranges: '1 5 8 ',
      last: 22,
    });
  });

  test('begins another range behind a gap', () => {
    expect(made({ by: { first: 30, length: 1 } })).toMatchObject({ ranges: '1 5 8 20 30 ', last: 30 });
  });

  test('never takes time away that the session was given', () => {
    expect(made({ state: { expiresAt: 1_200_000 } })?.expiresAt).toBe(1_200_000);
  });

  test.each([
    ['of another writer', { by: { prefix: 'you-' } }],
    ['whose first number may be there', { by: { first: 20 } }],
    ['whose ranges have grown long', { state: { ranges: `1 5 ${'7 '.repeat(238)}8 ` }, by: { first: 30 } }],
    ['that may be too many', { limits: { maxSessionEvents: 18 } }],
    ['that may be too large', { limits: { maxSessionBytes: 5_003 } }],
    ['with the largest element', { of: { largest: 401 } }],
    ['behind which the keys would go early', { state: { keepUntil: 1_000_000 + MIN_OVERDUE_MS } }],
    ['after a while', { ageMs: 10_001 }],
  ])('is for the server to say of one %s', (_, change) => {
    expect(made(change)).toBeUndefined();
  });

  test('is for the server to say earlier of a session that lives shortly', () => {
    const state = { ttlMs: 1_000, expiresAt: 901_000 };
    expect(made({ state, ageMs: 100 })).toBeDefined();
    expect(made({ state, ageMs: 101 })).toBeUndefined();
  });
});

test('a reply that tells no more than the outcome is no state', () => {
  expect(toState(['appended', '3', '0,1'], 'me-', 0)).toBeUndefined();
});
