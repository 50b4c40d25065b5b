import type { TestCase, TestModule, TestSuite } from 'vitest/node';
import type { ServiceName } from './services.js';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A test that did not run, and what it or a suite around it gave as the reason. */
export interface LeftOut {
  readonly name: string;
  /** Services that were not there. */
  readonly needs: readonly ServiceName[];
  /** What `ctx.skip(note)` said. */
  readonly note: string | undefined;
}

export function sum(tallies: Iterable<Tally>): Tally {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped } of tallies) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  return total;
}

/**
 * Counts a file. Failures that belong to no test count too: a file that does not load and a suite whose hook threw
 * are one each, and so is a test that never finished.
 */
export function countModule(module: TestModule): { tally: Tally; leftOut: LeftOut[] } {
  const leftOut: LeftOut[] = [];
  let passed = 0;
  let failed = module.errors().length > 0 ? 1 : 0;
  for (const suite of module.children.allSuites()) if (suite.errors().length > 0) failed++;
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed') passed++;
    else if (result.state === 'skipped') leftOut.push({ ...describeTest(test), note: result.note });
    else failed++;
  }
  if (failed === 0 && !module.ok()) failed = 1;
  return { tally: { passed, failed, skipped: leftOut.length }, leftOut };
}

function describeTest(test: TestCase): { name: string; needs: readonly ServiceName[] } {
  let task: TestCase | TestSuite | TestModule = test;
  let needs = task.meta().needs ?? [];
  while (needs.length === 0 && task.type !== 'module') {
    task = task.parent;
    needs = task.meta().needs ?? [];
  }
  return { name: `${test.module.relativeModuleId} > ${test.fullName}`, needs };
}
