import { crc32 } from 'node:zlib';
import type { EventUnpublishedRecord } from '../ports/contingency-log.js';

/**
 * Which events that are owed to the broker have come by, to know them again: a writer repeats itself when the file is
 * renamed under its hands, and an attempt records again what the one before it has not counted.
 *
 * By what they contain, too: an id that is used again after the retention of its session has the same sequences. Eight
 * bytes stand for an event, so in a log that has an id twice, one event of 2³² would be taken for another.
 */
export interface SeenEvents {
  /** Whether it is new. `session` is a number of its session's own. */
  add(session: number, record: EventUnpublishedRecord): boolean;
}

/** Odd, and far from its multiples: sequences of one session lie beside each other, not on those of the next. */
const SPREAD = 0x9e3779b1;

export function seenEvents(): SeenEvents {
  /** Open addressing, two numbers for an event: a checksum that is not 0, and where it stood. */
  let slots = new Int32Array(2 * 1_024);
  let size = 0;

  /** Where it is, or belongs. */
  function slotOf(inSlots: Int32Array, checksum: number, position: number): number {
    const last = inSlots.length - 2;
    let slot = (2 * (checksum ^ position)) & last;
    while (inSlots[slot] !== 0 && (inSlots[slot] !== checksum || inSlots[slot + 1] !== position))
      slot = (slot + 2) & last;
    return slot;
  }

  function put(inSlots: Int32Array, slot: number, checksum: number, position: number): void {
    inSlots[slot] = checksum;
    inSlots[slot + 1] = position;
  }

  function grow(): void {
    const larger = new Int32Array(slots.length * 2);
    for (let i = 0; i < slots.length; i += 2) {
      const [checksum, position] = [slots[i] as number, slots[i + 1] as number];
      if (checksum !== 0) put(larger, slotOf(larger, checksum, position), checksum, position);
    }
    slots = larger;
  }

  return {
    add(session, record) {
      const checksum = checksumOf(record) | 0 || 1;
      const position = (Math.imul(session, SPREAD) + record.sequence) | 0;
      const slot = slotOf(slots, checksum, position);
      if (slots[slot] !== 0) return false;
      put(slots, slot, checksum, position);
      size += 1;
      if (size * 3 > slots.length) grow();
      return true;
    },
  };
}

function checksumOf(record: EventUnpublishedRecord): number {
  if (record.utf8 === undefined) return crc32(record.event);
  const { buffer, start, end } = record.utf8;
  return crc32(new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start));
}
