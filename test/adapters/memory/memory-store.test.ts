import { sessionStoreCases } from 'event-sessions/testing';
import { describe, test } from 'vitest';
import { memoryStore } from '../../../src/adapters/memory/memory-store.js';

describe('memoryStore conforms', () => {
  for (const { name, run } of sessionStoreCases(async () => ({ store: memoryStore() }))) test(name, run);
});
