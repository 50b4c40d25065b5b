import type { Edge, Fault } from './fault-line.js';

export interface Recording {
  readonly scenario: string;
  /** Every point that was passed, in order. */
  readonly reached: readonly string[];
}

export interface PointCase {
  readonly scenario: string;
  readonly fault: Fault;
  /** The points that it visits. */
  readonly points: readonly string[];
}

/** Operations that change nothing that anybody but this process can see, were it killed. */
const READING = [
  /^redis\.(GET|READ|CONTAINS|INDEX_DUE|INDEX_COUNT|INDEX_PAGE|PING)\b/,
  /\(flushed\)$/,
  /^file\.(stat|access|statfs|readdir|readFile|readlinkSync|realpathSync)\b/,
  /^file\.open\((folder|sealed)\)/,
  /^file\.handle\.(stat|read|close|sync|datasync)\(/,
];
const WRITE = /^file\.handle\.write\(/;

/**
 * What has to be tried so that every point of a recording is visited with every action. Of an operation that comes
 * several times in a phase, the first and the last one. For each of them:
 *
 * - `fail`, before and after it; where it changes nothing the two are the same, and it fails before;
 * - `crash`, before and after it. Points between which nothing changes outside of the process, and nothing is under
 *   way that could, are one moment to everybody else: one crash visits all of them;
 * - `tear`, in the middle of each write.
 */
export function pointCases({ scenario, reached }: Recording): PointCase[] {
  const wanted = new Set(firstAndLast(reached));
  const crashes = moments(reached).flatMap((points) => {
    const visited = points.filter((point) => wanted.has(operationOf(point)));
    const [first] = visited;
    return first === undefined ? [] : [{ scenario, points: visited, fault: faultAt(first, 'crash') }];
  });
  const others = reached
    .filter((point) => wanted.has(operationOf(point)))
    .flatMap((point) => {
      const { edge, operation } = partsOf(point);
      const name = nameOf(point);
      const isSame = edge === 'after' && isReading(point);
      const fails = isSame ? [] : [{ scenario, points: [point], fault: faultAt(point, 'fail') }];
      if (edge === 'after' || !WRITE.test(name)) return fails;
      const tear: Fault = { operation, edge, action: 'tear' };
      return [...fails, { scenario, points: [point], fault: tear }];
    });
  return [...crashes, ...others];
}

/**
 * Without those of file operations that another scenario has in the same phase: what the file adapter does there is the
 * same, and it is two thirds of the work. With Redis and nsqd every scenario is a case of its own.
 */
export function thinned(cases: readonly PointCase[]): PointCase[] {
  const scenarioOf = new Map<string, string>();
  return cases.filter(({ scenario, fault: { operation, edge, action } }) => {
    if (!nameOf(operation).startsWith('file.')) return true;
    const key = `${operation.slice(0, operation.lastIndexOf('#'))} ${edge} ${action}`;
    const first = scenarioOf.get(key) ?? scenario;
    scenarioOf.set(key, first);
    return first === scenario;
  });
}

/** `redis.ADVANCE`, of `commit/redis.ADVANCE#2/before`. */
export function nameOf(point: string): string {
  return point.slice(point.indexOf('/') + 1, point.lastIndexOf('#'));
}

/** Runs of points between which nothing changes. */
function moments(reached: readonly string[]): string[][] {
  const runs: string[][] = [];
  const underWay = new Set<string>();
  let changes = true;
  for (const point of reached) {
    if (changes) runs.push([]);
    runs.at(-1)?.push(point);
    if (!isReading(point)) {
      const { operation, edge } = partsOf(point);
      if (edge === 'before') underWay.add(operation);
      else underWay.delete(operation);
    }
    changes = underWay.size > 0;
  }
  return runs;
}

function firstAndLast(reached: readonly string[]): string[] {
  const operations = [...new Set(reached.map(operationOf))];
  const kindOf = (operation: string) => operation.slice(0, operation.lastIndexOf('#'));
  const last = new Map(operations.map((operation) => [kindOf(operation), operation]));
  return operations.filter(
    (operation) => operation.endsWith('#1') || last.get(kindOf(operation)) === operation,
  );
}

function partsOf(point: string): { operation: string; edge: Edge } {
  const slash = point.lastIndexOf('/');
  return { operation: point.slice(0, slash), edge: point.slice(slash + 1) as Edge };
}

const operationOf = (point: string) => partsOf(point).operation;
const isReading = (point: string) => READING.some((pattern) => pattern.test(nameOf(point)));
const faultAt = (point: string, action: Fault['action']): Fault => ({ ...partsOf(point), action });
