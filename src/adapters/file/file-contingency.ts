import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { EventSessionsError } from '../../core/errors.js';
import { turns } from '../../core/turns.js';
import { timerMs, validate, wholeNumber } from '../../core/validate.js';
import type { ContingencyBacklog, ContingencyLog, SealedRecords } from '../../ports/contingency-log.js';
import { appendFile, type OpenFile } from './append-file.js';
import { backlogCounter } from './backlog-count.js';
import { lockPathOf, quarantinePathOf } from './file-names.js';
import { checkWritable, fileBehind } from './folder.js';
import { ioFailure } from './io-failure.js';
import { oneByOne } from './one-by-one.js';
import { encodeRecords } from './record-line.js';
import { acquireLock } from './recovery-lock.js';
import { sealedRecords } from './sealed-records.js';
import { type Segment, sealedSegments } from './sealed-segments.js';
import { type SegmentReader, segmentReader } from './segment-reader.js';
import { type SettledLines, settledLines } from './settled-lines.js';

export interface FileContingencyOptions {
  /**
   * The file. Default `contingency-log.jsonl` in the working directory. It must be on a local disk: network file
   * systems guarantee neither `O_APPEND` nor file identities across machines.
   *
   * Other files appear beside it (or beside the file that it leads to, if it is a symbolic link), whose names begin
   * with its name: `.…-….sealed` (a part under recovery), `.…-….sealed.settled` (what of that is done), `.lock`, and
   * `.quarantine.jsonl`.
   */
  readonly path?: string | undefined;
  /**
   * Bytes that may wait for recovery, including sealed parts, not including the quarantine. Default 1 GiB. Several
   * processes on one path may exceed it by what they write at the same moment.
   */
  readonly maxBytes?: number | undefined;
  /** Permissions of new files. Default 0o600, because events may contain personal data. */
  readonly mode?: number | undefined;
  /**
   * When written records are synced to the disk. With each policy an acknowledged record survives the death of the
   * process, including `kill -9`. What is lost if the machine crashes or loses power:
   *
   * - `always` (default): nothing. An append waits for the disk; appends at the same time share one sync.
   * - `interval`: what was acknowledged within the last `fsyncIntervalMs` and the time of one sync.
   * - `never`: what the operating system has not written by itself, on Linux usually the last 30 seconds.
   *
   * With `interval`, if acknowledged records can neither be synced nor written to a new file, a process warning (`code`
   * `CONTINGENCY_FAILED`) or the rejection of `close()` says so; appends then wait for the disk, as with `always`,
   * until it works again.
   */
  readonly fsync?: 'always' | 'interval' | 'never' | undefined;
  /** Milliseconds between two syncs with `fsync: 'interval'`. Default 1,000. */
  readonly fsyncIntervalMs?: number | undefined;
}

const DEFAULTS = {
  path: 'contingency-log.jsonl',
  maxBytes: 1024 ** 3,
  mode: 0o600,
  fsync: 'always',
  fsyncIntervalMs: 1_000,
} as const;

const pathError = 'the path of a file';
const optionsSchema = z.strictObject({
  path: z.optional(
    z.string({ error: pathError }).check(
      z.minLength(1, { error: pathError }),
      z.refine((path) => !path.includes('\0') && !/[/\\]$/.test(path), { error: pathError }),
    ),
  ),
  maxBytes: z.optional(wholeNumber(1)),
  mode: z.optional(wholeNumber(0, 0o777)),
  fsync: z.optional(z.enum(['always', 'interval', 'never'], { error: "'always', 'interval' or 'never'" })),
  fsyncIntervalMs: z.optional(timerMs()),
});

/**
 * A contingency log in an append-only file of JSON lines, which any number of processes on a host may share.
 *
 * Nothing is opened or created before the first append. Records of an append that rejects are not in the log, with one
 * exception: if the disk took the bytes but failed to sync them, they may come back.
 *
 * @throws `INVALID_INPUT` for an invalid option.
 */
export function fileContingency(options: FileContingencyOptions = {}): ContingencyLog {
  return contingencyOn(options, open);
}

/** {@link fileContingency}, with the function that opens files for appending as a parameter. */
export function contingencyOn(options: FileContingencyOptions, openFile: OpenFile): ContingencyLog {
  const given = validate(optionsSchema, options, 'fileContingency');
  const path = fileBehind(resolve(given.path ?? DEFAULTS.path));
  const { maxBytes = DEFAULTS.maxBytes, mode = DEFAULTS.mode, fsync = DEFAULTS.fsync } = given;
  const { fsyncIntervalMs = DEFAULTS.fsyncIntervalMs } = given;
  const durable = fsync === 'never' ? 'never' : 'always';
  const segments = sealedSegments(path, mode, fsync !== 'never');
  const count = backlogCounter();
  /** As last measured; undefined when a file may have been sealed since. */
  let sealedBytes: number | undefined;
  let held: SealedRecords | undefined;
  /** Of the segments of the last recovery: what a full disk did not take of it is only here. */
  let settled: ReadonlyMap<string, SettledLines> = new Map();
  const counting = turns();
  let closed = false;

  const sync = fsync === 'interval' ? fsyncIntervalMs : durable;
  const live = appendFile({ path, mode, sync, open: openFile, checkRoom, onMoved: measureAgain, setAside });
  // What goes there is removed from the log right after: it never waits for the interval.
  const quarantine = appendFile({ path: quarantinePathOf(path), mode, sync: durable, open: openFile });

  async function measure(): Promise<{ live: number; sealed: number }> {
    const sealed = (await segments.list()).reduce((sum, { bytes }) => sum + bytes, 0);
    sealedBytes = sealed;
    return { live: (await segments.live())?.bytes ?? 0, sealed };
  }

  function measureAgain(): void {
    sealedBytes = undefined;
  }

  async function setAside(): Promise<void> {
    await segments.setAside().finally(measureAgain);
  }

  async function checkRoom(bytes: number, size?: number): Promise<void> {
    const known = size === undefined || sealedBytes === undefined ? undefined : sealedBytes + size;
    if (known !== undefined && known + bytes <= maxBytes) return;
    const now = await measure();
    const used = now.live + now.sealed;
    if (used + bytes <= maxBytes) return;
    throw new EventSessionsError(
      'CONTINGENCY_FAILED',
      `${path} is full: ${used} of ${maxBytes} bytes wait for recovery, no room for ${bytes} more. ` +
        'Bring the store and the broker back and let recovery run, or raise maxBytes',
      { limit: maxBytes, actual: used + bytes },
    );
  }

  function mustBeOpen(): void {
    if (closed) throw new EventSessionsError('CLOSED', `the contingency log ${path} is closed`);
  }

  async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    mustBeOpen();
    try {
      return await work();
    } catch (error) {
      throw ioFailure(action, path, error);
    }
  }

  async function seal(): Promise<SealedRecords | 'empty' | 'busy'> {
    if ((await segments.live()) === undefined && (await segments.list()).length === 0) return 'empty';
    const lock = await acquireLock(lockPathOf(path), mode);
    if (lock === undefined) return 'busy';
    try {
      await segments.removeUnfinished();
      await live.between(setAside);
      const parts = await readersOf(await segments.list());
      if (parts.length > 0 && !closed) {
        const ended = () => {
          held = undefined;
          measureAgain();
        };
        held = sealedRecords({ path, parts, segments, lock, quarantine, ended });
        return held;
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
    await lock.release();
    mustBeOpen();
    return 'empty';
  }

  async function readersOf(sealed: readonly Segment[]): Promise<SegmentReader[]> {
    settled = new Map(
      sealed.map((part) => [
        part.path,
        settled.get(part.path) ?? settledLines(part.path, mode, fsync !== 'never'),
      ]),
    );
    const readers: SegmentReader[] = [];
    for (const part of sealed) {
      const lines = settled.get(part.path) as SettledLines;
      await lines.load();
      readers.push(segmentReader(part, lines));
    }
    return readers;
  }

  async function backlog(): Promise<ContingencyBacklog> {
    const sealed = await segments.list();
    return count(sealed, await segments.live());
  }

  return {
    async append(records) {
      mustBeOpen();
      if (records.length === 0) return;
      await live.append(encodeRecords(records));
    },

    seal: () => attempt('seal', seal),

    backlog: () => attempt('count', () => counting(backlog)),

    ping: () =>
      attempt('write to', async () => {
        await checkWritable(path);
        await checkRoom(1);
      }),

    async close() {
      closed = true;
      await oneByOne([() => held?.release(), live.close, quarantine.close], (letGo) => letGo());
    },
  };
}
