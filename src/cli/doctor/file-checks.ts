import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { quarantinePathOf } from '../../adapters/file/file-names.js';
import { errnoOf } from '../../adapters/file/io-failure.js';
import { messageOf } from '../../core/errors.js';
import {
  type Backlog,
  gatherBacklog,
  type QuarantineSummary,
  recoveryText,
  summarizeQuarantine,
} from '../backlog.js';
import { agoText, bytesText, countText } from '../wording.js';
import { type Check, type CheckGroup, error, ok, warning } from './check.js';

/** Milliseconds: ten passes of a service's own recovery. */
const OLD_MS = 300_000;
const NEARLY_FULL = 0.8;

export async function fileChecks(path: string, maxBytes: number): Promise<CheckGroup> {
  const group = { title: 'Contingency log', target: path };
  const { check: folder, existing } = await folderCheck(path);
  const checks: Check[] = [folder];
  if (existing !== undefined) checks.push(...(await diskChecks(existing)));
  try {
    const backlog = await gatherBacklog(path);
    const quarantine = await summarizeQuarantine(path);
    checks.push(
      ...(await permissionChecks(path, backlog)),
      ...(existing === undefined ? [] : [await roomCheck(existing, backlog, maxBytes)]),
      backlogCheck(backlog, maxBytes),
      ...(backlog.unreadable > 0 ? [unreadableCheck(backlog)] : []),
      quarantineCheck(quarantine),
      ...lockChecks(backlog),
    );
  } catch (failure) {
    const advice = 'run this as the user that the services run as';
    checks.push(error('file.readable', messageOf(failure), advice));
  }
  return { ...group, checks };
}

/** Looks for the folder, or the nearest one above it that exists: the library creates what is missing. */
async function folderCheck(path: string): Promise<{ check: Check; existing: string | undefined }> {
  const name = 'file.folder';
  const folder = dirname(path);
  for (let at = folder; ; at = dirname(at)) {
    let existing: string | undefined;
    try {
      const found = await stat(at);
      existing = at;
      if (!found.isDirectory()) {
        return {
          check: error(name, `${at} is not a folder`, 'name a path in a folder with --file'),
          existing: undefined,
        };
      }
      await access(at, constants.W_OK | constants.X_OK);
      if (
        await stat(path).then(
          (file) => !file.isFile(),
          () => false,
        )
      ) {
        return { check: error(name, `${path} is not a file`, 'name another path with --file'), existing: at };
      }
      // Who may create files in the folder may still not append to this one.
      await access(path, constants.W_OK | constants.R_OK).catch(ignoreMissing);
      if (at === folder) return { check: ok(name, `${folder} is there and can be written to`), existing: at };
      const text = `${folder} does not exist yet`;
      return {
        check: warning(name, text, 'the first record creates it; check that the path is right'),
        existing: at,
      };
    } catch (failure) {
      const errno = errnoOf(failure);
      if (errno === 'ENOENT' && dirname(at) !== at) continue;
      const where = (failure as NodeJS.ErrnoException).path ?? at;
      const advice = 'give the user that the services run as the right to write there, or name another path';
      return {
        check: error(name, `cannot write to ${where}: ${errno ?? messageOf(failure)}`, advice),
        existing,
      };
    }
  }
}

function ignoreMissing(failure: unknown): void {
  if (errnoOf(failure) !== 'ENOENT') throw failure;
}

/** `statfs` types of Linux. */
const NETWORK: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  16914839: '9P',
  1397113167: 'AFS',
  12805120: 'Ceph',
  1702057286: 'FUSE',
};
const TMPFS = 0x01021994;
const OVERLAY = 0x794c7630;

async function diskChecks(folder: string): Promise<Check[]> {
  const name = 'file.disk';
  if (process.platform !== 'linux')
    return [
      warning(name, 'whether it is on a local disk cannot be told on this system', 'make sure that it is'),
    ];
  const type = (await statfs(folder)).type >>> 0;
  const network = NETWORK[type];
  if (network === 'FUSE')
    return [warning(name, 'is on FUSE, which may be a network', 'keep it on a local disk')];
  if (network !== undefined) {
    const text = `is on a network file system (${network}), which keeps neither appends nor file identities over machines`;
    return [error(name, text, 'keep it on a local disk, a path of its own for each host')];
  }
  if (type === TMPFS)
    return [warning(name, 'is on tmpfs: in memory, gone with the machine', 'keep it on a disk')];
  if (type === OVERLAY)
    return [warning(name, 'is in the layer of a container, and gone with it', 'keep it on a volume')];
  return [ok(name, 'on a local disk')];
}

async function permissionChecks(path: string, { files }: Backlog): Promise<Check[]> {
  if (process.platform === 'win32') return [];
  const paths = [...new Set([...files.map((file) => file.path), path, quarantinePathOf(path)])];
  const wide: string[] = [];
  let foreign: { path: string; uid: number } | undefined;
  let any = false;
  for (const file of paths) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) continue;
    any = true;
    if ((found.mode & 0o077) !== 0) wide.push(`${file} has mode 0${(found.mode & 0o777).toString(8)}`);
    if (found.uid !== process.getuid?.()) foreign = { path: file, uid: found.uid };
  }
  const checks: Check[] = [];
  if (wide.length > 0) {
    const advice = `chmod 600 ${wide.map((text) => text.split(' has mode ')[0]).join(' ')}`;
    checks.push(warning('file.mode', `others may read events' data: ${wide.join(', ')}`, advice));
  } else if (any) checks.push(ok('file.mode', 'only its owner may read it (0600)'));
  if (foreign !== undefined) {
    const text = `${foreign.path} belongs to user ${foreign.uid}, and this is user ${process.getuid?.()}`;
    checks.push(warning('file.owner', text, 'run event-sessions as that user, also for recover'));
  }
  return checks;
}

async function roomCheck(folder: string, { files }: Backlog, maxBytes: number): Promise<Check> {
  const name = 'file.room';
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const used = files.reduce((sum, file) => sum + file.bytes, 0);
  const text = `${bytesText(free)} free, and the log may grow by ${bytesText(Math.max(0, maxBytes - used))} more (maxBytes ${bytesText(maxBytes)})`;
  if (free === 0) return error(name, `the disk is full: ${text}`, 'free some space: nothing can be recorded');
  if (free + used >= maxBytes) return ok(name, text);
  return warning(name, text, 'free some space, or lower maxBytes: the disk would be full before the log is');
}

function backlogCheck({ files, records, oldestAt, sessions }: Backlog, maxBytes: number): Check {
  const name = 'file.backlog';
  const used = files.reduce((sum, file) => sum + file.bytes, 0);
  if (records === 0) return ok(name, 'nothing waits for recovery');
  const age = oldestAt === undefined ? '' : `, the oldest ${agoText(oldestAt, Date.now())}`;
  const text = `${countText(records, 'record')} of ${countText(sessions.length, 'session')} wait for recovery, ${bytesText(used)}${age}`;
  const advice = 'see that store and broker are well, then event-sessions recover';
  if (used >= maxBytes) return error(name, `the log is full: ${text}`, advice);
  const isOld = oldestAt !== undefined && Date.now() - oldestAt > OLD_MS;
  if (isOld || used >= maxBytes * NEARLY_FULL) return warning(name, text, advice);
  return ok(name, text);
}

function unreadableCheck({ unreadable }: Backlog): Check {
  const text = `${countText(unreadable, 'line')} cannot be read`;
  return warning('file.unreadable', text, 'recovery will put what cannot be read into the quarantine');
}

function quarantineCheck({ file, entries, newestAt }: QuarantineSummary): Check {
  const name = 'file.quarantine';
  if (entries === 0) return ok(name, 'the quarantine is empty');
  const age = newestAt === undefined ? '' : `, the newest ${agoText(newestAt, Date.now())}`;
  const text = `${countText(entries, 'entry', 'entries')} in quarantine${age}`;
  return warning(
    name,
    text,
    `event-sessions inspect shows the reasons; when you have dealt with them, move ${file} away`,
  );
}

function lockChecks({ recovery }: Backlog): Check[] {
  return recovery === undefined ? [] : [ok('file.lock', recoveryText(recovery))];
}
