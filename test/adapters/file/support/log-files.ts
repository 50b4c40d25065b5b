import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withoutBytes } from '../../../../src/contingency/without-bytes.js';
import type {
  ContingencyLog,
  EventAddedRecord,
  SealedContent,
  SealedRecords,
} from '../../../../src/ports/contingency-log.js';

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

export function idOf(entry: SealedContent): string {
  if ('reason' in entry) return `unreadable: ${entry.reason}`;
  return 'event' in entry.record ? (JSON.parse(entry.record.event) as { id: string }).id : entry.record.kind;
}

/** All that can be sealed now, without its places; the log forgets it. */
export async function entriesOf(log: ContingencyLog): Promise<SealedContent[]> {
  const sealed = await log.seal();
  if (sealed === 'empty') return [];
  if (sealed === 'busy') throw new Error('another recovery is at work');
  const entries: SealedContent[] = [];
  const places: number[] = [];
  for await (const some of sealed.read())
    for (const { place, ...entry } of some) {
      entries.push('unreadable' in entry ? entry : { record: withoutBytes(entry.record) });
      places.push(place);
    }
  await sealed.settle(places);
  await sealed.release();
  return entries;
}

export async function sealOf(log: ContingencyLog): Promise<SealedRecords> {
  const sealed = await log.seal();
  if (typeof sealed !== 'object') throw new Error(`there is nothing to seal: ${sealed}`);
  return sealed;
}

export async function placesOf(sealed: SealedRecords): Promise<number[]> {
  const places: number[] = [];
  for await (const some of sealed.read()) places.push(...some.map(({ place }) => place));
  return places;
}

export const idsOf = async (log: ContingencyLog) => (await entriesOf(log)).map(idOf);
