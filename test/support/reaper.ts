import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Reads `+pid` and `-pid` until its input ends, which is when the process that wrote them is gone, however it
 * went (a crash or kill -9 runs no exit handler). Then it kills what was not taken off the list.
 */
const SCRIPT = `
pids=' '
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) pids="$pids$pid " ;;
    -*) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
`;

let reaper: ChildProcess | undefined;

/** From now on `pid` dies with this process. Returns how to take it off the list once it has ended by itself. */
export function dieWithUs(pid: number): () => void {
  reaper ??= startReaper();
  const input = reaper.stdin;
  input?.write(`+${pid}\n`);
  return () => {
    input?.write(`-${pid}\n`);
  };
}

/** In its own process group, so that Ctrl-C on the tests does not end it before its work. */
function startReaper(): ChildProcess {
  const child = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.on('error', () => {});
  child.stdin?.on('error', () => {});
  child.unref();
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}
