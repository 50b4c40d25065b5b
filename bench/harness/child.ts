import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dieWithUs } from '../../test/support/reaper.js';

const TSCONFIG = fileURLToPath(new URL('../tsconfig.json', import.meta.url));

/** A process of a bench. It says `ready`, waits for a line, works, and says what it found, as one line of JSON. */
export interface BenchChild {
  /** Lets it begin, and resolves with what it says. */
  go(): Promise<Record<string, number>>;
}

export async function startChild(script: URL, job: object): Promise<BenchChild> {
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', fileURLToPath(script), JSON.stringify(job)],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TSX_TSCONFIG_PATH: TSCONFIG } },
  );
  const forget = dieWithUs(child.pid ?? -1);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`a child of the bench ended early (${child.exitCode ?? child.signalCode})`);
    return value as string;
  };
  if ((await said()) !== 'ready') throw new Error('a child of the bench did not say that it is ready');
  return {
    async go() {
      child.stdin.write('go\n');
      const result = JSON.parse(await said()) as Record<string, number>;
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      forget();
      return result;
    },
  };
}
