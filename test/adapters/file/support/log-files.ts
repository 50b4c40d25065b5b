import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContingencyLog, EventAddedRecord, SealedEntry } from '../../../../src/ports/contingency-log.js';

export const temporaryFolder = () => mkdtemp(join(tmpdir(), 'contingency-'));
export const removeFolder = (folder: string) => rm(folder, { recursive: true, force: true });

/** Runs the work in a folder of its own. */
export async function inFolder(work: (folder: string, path: string) => Promise<void>): Promise<void> {
  const folder = await temporaryFolder();
  try {
    await work(folder, join(folder, 'log.jsonl'));
  } finally {
    await removeFolder(folder);
  }
}

export function added(id: string, { at = 1, text = '' } = {}): EventAddedRecord {
  const event = `{"specversion":"1.0","id":"${id}","10":"x","datacontenttype":"application/json","data":${JSON.stringify({ text })}}`;
  return { kind: 'event.added', sessionId: 's-1', at, topic: 'order.placed', event };
}

export function idOf(entry: SealedEntry): string {
  if ('reason' in entry) return `unreadable: ${entry.reason}`;
  return 'event' in entry.record ? (JSON.parse(entry.record.event) as { id: string }).id : entry.record.kind;
}

/** All that can be sealed now; the log forgets it. */
export async function entriesOf(log: ContingencyLog): Promise<SealedEntry[]> {
  const sealed = await log.seal();
  if (sealed === undefined) return [];
  const entries: SealedEntry[] = [];
  for await (const entry of sealed.read()) entries.push(entry);
  await sealed.finish({ keep: [], quarantine: [] });
  return entries;
}

export const idsOf = async (log: ContingencyLog) => (await entriesOf(log)).map(idOf);
