import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

const reaper = fileURLToPath(new URL('./reaper.ts', import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that has put two sleepers on its list, taken the first one off, and then waits. */
async function runner(): Promise<{ child: ChildProcess; kept: number; reaped: number }> {
  const code = `
    import { spawn } from 'node:child_process';
    import { dieWithUs } from ${JSON.stringify(reaper)};
    const sleep = () => spawn('sleep', ['60'], { stdio: 'ignore', detached: true }).pid;
    const pids = [sleep(), sleep()];
    const [forgetFirst] = pids.map(dieWithUs);
    forgetFirst();
    console.log(pids.join(' '));
    setTimeout(() => {}, 60_000);`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', code];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [kept, reaped] = line.toString().trim().split(' ').map(Number);
  return { child, kept: kept ?? 0, reaped: reaped ?? 0 };
}

it.each(['SIGKILL', 'SIGTERM'] as const)(
  'kills what is on the list when its runner gets %s',
  async (signal) => {
    const { child, kept, reaped } = await runner();
    expect([isAlive(kept), isAlive(reaped)]).toEqual([true, true]);
    child.kill(signal);
    await expect.poll(() => isAlive(reaped)).toBe(false);
    expect(isAlive(kept)).toBe(true);
    process.kill(kept, 'SIGKILL');
  },
);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
