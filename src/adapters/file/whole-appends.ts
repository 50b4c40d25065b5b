import type { SealedEntry } from '../../ports/contingency-log.js';
import type { Line } from './lines.js';
import { MAX_LINE_BYTES } from './lines.js';
import { type Decoded, decodeRecord, reachesItsEnd, textOf, type Undecodable } from './record-line.js';

/**
 * Turns lines into entries so that an append of several records counts as a whole or not at all.
 *
 * Such an append is one write, which a full disk or the death of the process may cut short behind any of its records.
 * Nobody was told that it worked, and the caller may have been told that it did not. So its parts are held back until
 * the last one is seen, and come as unreadable (to be quarantined, never dropped) if it never comes.
 *
 * Damage is not a cut: where the last part is there but can't be read, its neighbours count. When in doubt they do.
 */
export function wholeAppends() {
  let held: { place: number; line: Buffer; decoded: Decoded | Undecodable }[] = [];
  let last = 0;
  let parts = 0;

  const release = (cutShort: boolean): SealedEntry[] => {
    const entries = held.map(({ place, line, decoded }): SealedEntry => {
      if ('reason' in decoded) return { place, unreadable: textOf(line), reason: decoded.reason };
      if (!cutShort) return { place, record: decoded.record };
      const reason = `part ${decoded.part} of an append of ${decoded.parts} that was cut short and not acknowledged`;
      return { place, unreadable: textOf(line), reason };
    });
    held = [];
    last = 0;
    parts = 0;
    return entries;
  };

  /** What is still held back, now that nothing more of its append can come. */
  const end = (): SealedEntry[] => {
    const lastReadable = held.findLastIndex(({ decoded }) => 'record' in decoded);
    const lastIsDamaged = held.slice(lastReadable + 1).some(({ line }) => reachesItsEnd(line));
    return release(!lastIsDamaged);
  };

  const take = (line: Line, place: number): SealedEntry[] => {
    const decoded = decodeLine(line);
    if ('reason' in decoded) {
      if (parts === 0) return [{ place, unreadable: textOf(line.bytes), reason: decoded.reason }];
      held.push({ place, line: line.bytes, decoded });
      const damagedAtMost = 2 * (parts - last);
      const lastReadable = held.findLastIndex((entry) => 'record' in entry.decoded);
      return held.length - 1 - lastReadable > damagedAtMost ? end() : [];
    }
    const continues = parts === decoded.parts && decoded.part > last;
    const before = parts === 0 || continues ? [] : end();
    if (decoded.parts === 1) return [...before, { place, record: decoded.record }];
    held.push({ place, line: line.bytes, decoded });
    last = decoded.part;
    parts = decoded.parts;
    return last === parts ? [...before, ...release(false)] : before;
  };

  return { take, end };
}

function decodeLine(line: Line): Decoded | Undecodable {
  if (line.form === 'piece') return { reason: `a piece of a line longer than ${MAX_LINE_BYTES} bytes` };
  return decodeRecord(line.bytes);
}
