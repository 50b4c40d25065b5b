import type { SealedEntry } from '../../ports/contingency-log.js';
import type { Line } from './lines.js';
import { MAX_LINE_BYTES } from './lines.js';
import { type Decoded, decodeRecord, reachesItsEnd, textOf, type Undecodable } from './record-line.js';

/**
 * Bytes of damaged lines in a row that may be held back: how many parts an append has is only what its lines say. An
 * append of which more than that is damaged counts as one that was cut short, unless one of those lines reaches its end.
 */
const MAX_DAMAGED_BYTES = 16 * 1024 * 1024;
/** What a line takes of memory besides its bytes, or more. */
const LINE_OVERHEAD = 500;

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
  let entries: SealedEntry[] = [];
  let held: { place: number; line: Buffer; decoded: Decoded | Undecodable }[] = [];
  let last = 0;
  let parts = 0;
  /** Those behind the last part that can be read. */
  let damaged = { lines: 0, bytes: 0 };

  const release = (cutShort: boolean): void => {
    for (const { place, line, decoded } of held) {
      if ('reason' in decoded) entries.push({ place, unreadable: textOf(line), reason: decoded.reason });
      else if (!cutShort) entries.push({ place, record: decoded.record });
      else {
        const reason = `part ${decoded.part} of an append of ${decoded.parts} that was cut short and not acknowledged`;
        entries.push({ place, unreadable: textOf(line), reason });
      }
    }
    held = [];
    last = 0;
    parts = 0;
    damaged = { lines: 0, bytes: 0 };
  };

  /** Nothing more of the append can come whose parts are held back. */
  const end = (): void => {
    if (held.length === 0) return;
    const behind = held.slice(held.length - damaged.lines);
    const lastIsDamaged = behind.some(({ line }) => reachesItsEnd(line));
    release(!lastIsDamaged);
  };

  const add = (line: Line, place: number): void => {
    const decoded = decodeLine(line);
    if ('reason' in decoded) {
      held.push({ place, line: line.bytes, decoded });
      damaged.lines += 1;
      damaged.bytes += line.bytes.length + LINE_OVERHEAD;
      if (damaged.lines > 2 * (parts - last) || damaged.bytes > MAX_DAMAGED_BYTES) end();
      return;
    }
    const continues = parts === decoded.parts && decoded.part > last;
    if (parts > 0 && !continues) end();
    held.push({ place, line: line.bytes, decoded });
    damaged = { lines: 0, bytes: 0 };
    last = decoded.part;
    parts = decoded.parts;
    if (last === parts) release(false);
  };

  /** The entries that are known by now, since it was last asked. */
  const known = (): SealedEntry[] => {
    const found = entries;
    entries = [];
    return found;
  };

  return { add, end, known };
}

function decodeLine(line: Line): Decoded | Undecodable {
  if (line.form === 'piece') return { reason: `a piece of a line longer than ${MAX_LINE_BYTES} bytes` };
  return decodeRecord(line.bytes);
}
