/**
 * How fast the library is, next to what one would write by hand on the same servers and the same disk.
 *
 * Starts a redis-server and an nsqd of its own on 127.0.0.1, and measures the built package (`dist`). All sides of a
 * comparison take turns in this process, so what counts is the ratio, not the rate on this machine.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benches } from './benches.js';
import { plotOf } from './harness/plot.js';
import { isFarFromGoal, type Result } from './harness/result.js';
import { startServers, withFolder } from './harness/servers.js';
import { labelOf, lineOf, tableOf } from './harness/text.js';

const HELP = `npm run bench -- [name …] [options]

  Without a name all benches run, and the ratios are saved under docs/performance/.

  --list        the names, and what each is about
  --rounds <n>  rounds that count, after one that does not (default 7; 5 with --check, 3 with --quick)
  --size <n>    only events of this many bytes: 250, 1024 or 16384; may be repeated
  --quick       less of everything, to see that it works
  --check       short; fails when the better rounds are below half of a goal, and ends with the counts
                (npm run bench:check)
  --save        saves also when only some benches ran
  --json        one JSON object on stdout instead of text
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    size: { type: 'string', multiple: true },
  },
});

if (options.help) {
  console.log(HELP);
} else if (options.list) {
  for (const { name, about } of benches) console.log(`${name.padEnd(20)} ${about}`);
} else {
  await main();
}

async function main(): Promise<void> {
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) throw new Error(`no bench named ${unknown.join(', ')}; see --list`);
  const { quick, check } = options;
  const rounds = Number(options.rounds ?? (quick ? 3 : check ? 5 : 7));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1');
  const sizes = options.size?.map(Number) ?? (check ? [250] : [250, 1_024, 16_384]);
  const chosen = benches.filter(({ name, inCheck }) =>
    positionals.length > 0 ? positionals.includes(name) : !check || inCheck,
  );

  const say = options.json ? () => {} : console.log;
  const servers = await startServers();
  const about = {
    node: process.version,
    redis: servers.redis.version,
    nsqd: servers.nsqd.version,
    cpus: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    rounds,
    at: new Date().toISOString(),
  };
  const caption = `Node ${about.node}, redis-server ${about.redis}, nsqd ${about.nsqd}, ${about.cpus}; medians of ${rounds} rounds`;
  say(`${caption}; quartiles in brackets`);

  const results: Result[] = [];
  try {
    for (const bench of chosen) {
      say(`\n${bench.name}: ${bench.about}`);
      await servers.clear();
      const report = (result: Result) => {
        results.push(result);
        say(lineOf(result));
      };
      await withFolder((folder) => bench.run({ ...servers, rounds, quick, sizes, folder, report }));
    }
  } finally {
    await servers.stop();
  }

  say(`\n${tableOf(results)}`);
  if (options.json) console.log(JSON.stringify({ ...about, results }, undefined, 2));
  if (options.save || (chosen.length === benches.length && !quick && !check))
    await save({ ...about, results }, caption);
  if (check) judge(results);
}

async function save(report: { readonly results: readonly Result[] }, caption: string): Promise<void> {
  const folder = new URL('../docs/performance/', import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL('results.json', folder), `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(new URL('ratios.svg', folder), plotOf(report.results, caption));
}

function judge(results: readonly Result[]): void {
  const ratios = results.filter((result) => result.kind === 'ratio');
  const failed = ratios.filter(isFarFromGoal);
  for (const result of failed) console.log(`below half of its goal: ${labelOf(result)}`);
  console.log(`${ratios.length - failed.length} passed, ${failed.length} failed, 0 skipped`);
  if (failed.length > 0) process.exitCode = 1;
}
