import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Bench } from '../harness/bench.js';
import { median, spreadOf } from '../harness/result.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const GOALS: Record<string, number | undefined> = { 'event-sessions': 30 };

/** How long a process takes that imports an entry point, over one that imports nothing, in turns. */
export const startUp: Bench = {
  name: 'start-up',
  about: 'import of each entry point, over an empty script',
  inCheck: false,
  async run({ rounds, report }) {
    const entries = ['event-sessions', 'event-sessions/redis', 'event-sessions/nsq', 'event-sessions/file'];
    const scripts = [
      '',
      ...entries.map((entry) => `await import('${entry}')`),
      "await import('ioredis')",
      "await import('nsqjs')",
    ];
    const times = scripts.map((): number[] => []);
    for (let round = 0; round <= rounds * 3; round += 1) {
      scripts.forEach((script, index) => {
        const startedAt = performance.now();
        const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
          cwd: ROOT,
          env: {},
        });
        if (status !== 0) throw new Error(stderr.toString());
        if (round > 0) times[index]?.push(performance.now() - startedAt);
      });
    }
    const empty = times[0] ?? [];
    scripts.slice(1).forEach((script, index) => {
      const over = (times[index + 1] ?? []).map((time, round) => time - (empty[round] ?? 0));
      const entry = /'(.+)'/.exec(script)?.[1] ?? '';
      const atMost = GOALS[entry];
      report({
        kind: 'figure',
        bench: 'start-up',
        title: `import('${entry}')`,
        value: median(over),
        spread: spreadOf(over),
        unit: 'ms',
        ...(atMost === undefined ? {} : { goal: { atMost } }),
      });
    });
  },
};
