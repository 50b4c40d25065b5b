import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runExample } from './run-example.js';

test('the audit log has every domain event, with instance and reason and without data', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'event-sessions-audit-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'audit.jsonl');
  // Twice: it goes on in the file.
  for (const _ of [1, 2]) {
    const { code, stdout, stderr } = await runExample('audit-log.ts', [path]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/status: 'rolled_back',[^}]*instance: 'shop-1',[^}]*reason: 'the customer left'/s);
  }

  const text = await readFile(path, 'utf8');
  const events = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const once = [
    'session.started',
    'event.added',
    'session.committing',
    'batch.published',
    'session.committed',
    'session.started',
    'event.added',
    'session.rolled_back',
  ];
  expect(events.map(({ type }) => type)).toEqual([...once, ...once]);
  for (const event of events)
    expect(event).toMatchObject({
      instanceId: 'shop-1',
      at: expect.any(Number),
      sessionId: expect.any(String),
    });
  expect(events.at(-1)).toMatchObject({ discarded: 1, reason: 'the customer left' });
  expect(text).not.toMatch(/4111…|"card"/);
});
