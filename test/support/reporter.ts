import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, Vitest } from 'vitest/node';
import type { Services } from './services.js';
import { countModule, type LeftOut, sum, type Tally } from './tally.js';

/**
 * After vitest's own report: counts by folder, the servers it ran on, what was left out and why, and
 * `N passed, M failed, K skipped` as the very last line of the process.
 */
export default class SummaryReporter implements Reporter {
  #vitest: Vitest | undefined;
  /** What the last line says. A run that never gets to its end has failed. */
  #total: Tally = { passed: 0, failed: 1, skipped: 0 };

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
    // Coverage, teardown and warnings about slow exits are printed after the run's end, but not after this.
    if (!vitest.config.watch) process.once('exit', () => writeSync(1, `${counts(this.#total)}\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[], outcome: string): void {
    const byFolder = new Map<string, Tally>();
    const leftOut: LeftOut[] = [];
    for (const module of modules) {
      const counted = countModule(module);
      const folder = module.relativeModuleId.replace(/\/[^/]*$/, '');
      byFolder.set(folder, sum([byFolder.get(folder) ?? NOTHING, counted.tally]));
      leftOut.push(...counted.leftOut);
    }
    const total = sum([...byFolder.values(), { ...NOTHING, failed: unhandled.length }]);
    // Interrupted, or failed in a way that no test shows: never a green last line.
    this.#total = outcome === 'passed' ? total : { ...total, failed: Math.max(1, total.failed) };

    // No file was even listed: vitest tells why, and there is nothing to add.
    if (modules.length === 0) return;
    const config = this.#vitest?.config;
    const services = this.#vitest?.getRootProject().getProvidedContext().services;
    console.log(folders(byFolder).join('\n'));
    if (unhandled.length > 0) console.log(` unhandled errors: ${unhandled.length}, counted as failed`);
    console.log(`\n Ran on ${servers(services).join(' · ')}`);
    if (config?.testNamePattern) console.log(` Left out: what does not match ${config.testNamePattern}`);
    else console.log(left(leftOut, services).join('\n'));
    console.log(config?.watch ? counts(this.#total) : '');
  }
}

const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0 };

function counts({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function folders(byFolder: ReadonlyMap<string, Tally>): string[] {
  const width = Math.max(...[...byFolder.keys()].map((folder) => folder.length));
  return [...byFolder].sort().map(([folder, tally]) => ` ${folder.padEnd(width)}  ${counts(tally)}`);
}

function servers(services: Services | undefined): string[] {
  const versions = Object.entries(services?.versions ?? {});
  return [`Node ${process.versions.node}`, ...versions.map(([name, version]) => `${name} ${version}`)];
}

/** A line for each reason with its count. Only tests that are skipped without a word are listed by name. */
function left(leftOut: readonly LeftOut[], services: Services | undefined): string[] {
  if (leftOut.length === 0) return [' Left out: nothing'];
  const byReason = new Map<string, string[]>();
  for (const test of leftOut) {
    const reason = reasonOf(test, services);
    byReason.set(reason, [...(byReason.get(reason) ?? []), test.name]);
  }
  return [...byReason].flatMap(([reason, names]) => [
    ` Left out: ${names.length} ${names.length === 1 ? 'test' : 'tests'}, ${reason}`,
    ...(reason === NO_REASON ? names.map((name) => `   ${name}`) : []),
  ]);
}

const NO_REASON = 'no reason given';

function reasonOf({ needs, note }: LeftOut, services: Services | undefined): string {
  if (needs.length === 0) return note ?? NO_REASON;
  return needs.map((need) => `${need} is missing: ${services?.missing[need]}`).join('; ');
}
