import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CampaignProgress, type CampaignResult, observationsFromJson, runCampaign } from './campaign.js';
import { check, type Verdict } from './checker.js';
import { readHistory } from './history.js';
import { CHECKER } from './settings.js';

const HELP = `npm run test:chaos -- [options]

Worker processes do random sessions on a real Redis and two real nsqd while processes are killed, stopped and cut off.
Then everything heals, recovery runs, consumers drain, and a checker compares what was acknowledged with what came.

  --seed N       decides the schedule of faults (default: drawn, and told)
  --minutes M    how long (default 1)
  --json         the verdict as one line of JSON
  --keep         keeps history and observations even if nothing is wrong; they are always kept on failure
  --check DIR    no campaign: judges what was kept in DIR again
  --help

Exit code: 0 nothing is wrong, 1 a guarantee was broken, 2 wrong usage or no servers.`;

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      check: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.check !== undefined) {
    const text = readFileSync(join(values.check, 'observations.json'), 'utf8');
    const verdict = check(readHistory(join(values.check, 'history')), observationsFromJson(text), CHECKER);
    return report({ ...verdict, folder: values.check, leftOut: [] }, values.json);
  }
  const seed = numberOf('seed', values.seed ?? String(Math.floor(Math.random() * 1e6)));
  const minutes = numberOf('minutes', values.minutes);
  if (!values.json) console.log(`seed ${seed}, ${minutes} min`);
  const result = await runCampaign({
    seed,
    durationMs: minutes * 60_000,
    keep: values.keep ? 'always' : 'on failure',
    onProgress: values.json ? undefined : progress(),
  });
  const code = report(result, values.json);
  if (code !== 0 && !values.json)
    console.log(`Again: npm run test:chaos -- --seed ${seed} --minutes ${minutes}`);
  return code;
}

function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number >= 0))
    throw new TypeError(`--${name}: expected a number, got '${text}'`);
  return number;
}

function progress(): (progress: CampaignProgress) => void {
  const startedAt = performance.now();
  let phase = '';
  return (now) => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    const line = `${seconds} s: ${now.phase}, ${now.operations} operations, ${now.sessions} sessions, ${now.faults} faults`;
    if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${line}`);
    else if (now.phase !== phase || seconds % 30 === 0) console.log(line);
    phase = now.phase;
  };
}

const MOST_SHOWN = 40;

function report(
  result: CampaignResult | (Verdict & { folder?: string; leftOut: string[] }),
  json: boolean,
): number {
  const { violations, totals, folder, leftOut } = result;
  if (json) {
    console.log(JSON.stringify({ totals, violations, folder, leftOut }));
  } else {
    if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
    for (const { guarantee, rule, sessionId, message } of violations.slice(0, MOST_SHOWN)) {
      console.log(
        `${guarantee} ${rule}: ${sessionId === undefined ? '' : `session ${sessionId}: `}${message}`,
      );
    }
    if (violations.length > MOST_SHOWN) console.log(`… and ${violations.length - MOST_SHOWN} more`);
    for (const [name, value] of Object.entries(totals)) {
      console.log(`${name.padEnd(13)} ${typeof value === 'number' ? value : list(value)}`);
    }
    for (const left of leftOut) console.log(`left out: ${left}`);
    if (folder !== undefined) console.log(`History and observations: ${folder}`);
  }
  return violations.length === 0 ? 0 : 1;
}

function list(numbers: object): string {
  return Object.entries(numbers)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof TypeError ? `${error.message}\n\n${HELP}` : error);
    process.exit(2);
  },
);
