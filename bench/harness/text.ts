import type { CpuTimes } from './cpu.js';
import { type FigureResult, isMet, type RatioResult, type Result, type Spread } from './result.js';

export function lineOf(result: Result): string {
  return result.kind === 'ratio' ? ratioLines(result) : figureLine(result);
}

/** The table at the end: one line a ratio. */
export function tableOf(results: readonly Result[]): string {
  const ratios = results.filter((result): result is RatioResult => result.kind === 'ratio');
  if (ratios.length === 0) return '';
  const width = Math.max(...ratios.map((result) => labelOf(result).length));
  const rows = ratios.map((result) => {
    const { ratio, ratioSpread, goal } = result;
    const verdict = isMet(result) ? 'reached' : 'missed';
    return `${labelOf(result).padEnd(width)}  ${ratio.toFixed(2).padStart(6)} ×  ${range(ratioSpread, 2).padEnd(14)} goal ${goal.toFixed(2)}  ${verdict}`;
  });
  return ['ratio of the library to what it is compared with (above 1: the library is faster)', ...rows].join(
    '\n',
  );
}

export function labelOf({ title, eventBytes }: Result): string {
  return eventBytes === undefined ? title : `${title}, ${sizeText(eventBytes)}`;
}

export function sizeText(bytes: number): string {
  return bytes >= 1_024 && bytes % 1_024 === 0 ? `${bytes / 1_024} KiB` : `${bytes} B`;
}

function ratioLines(result: RatioResult): string {
  const { ratio, ratioSpread, goal, ours, theirs } = result;
  const rates = [ours, theirs].map(
    ({ name, perSecond, spread, cpuPerEvent }) =>
      `    ${name.padEnd(48)} ${whole(perSecond).padStart(10)} events/s  ${range(spread, 0)}  ${costs(cpuPerEvent)}`,
  );
  const verdict = isMet(result) ? 'reached' : 'missed';
  return [
    `  ${labelOf(result)}: ${ratio.toFixed(2)} × ${range(ratioSpread, 2)}, goal ${goal}: ${verdict}`,
    ...rates,
  ].join('\n');
}

/** `node 4.1 + redis 2.0 µs`: what took no time is left out. */
function costs(cpu: CpuTimes): string {
  const spent = Object.entries(cpu).filter(([, time]) => time >= 0.05);
  return `${spent.map(([who, time]) => `${who} ${time.toFixed(1)}`).join(' + ')} µs`;
}

function figureLine(result: FigureResult): string {
  const { value, unit, goal, spread, note } = result;
  const met = isMet(result);
  const bound =
    goal === undefined
      ? ''
      : `, goal ${'atMost' in goal ? `≤ ${whole(goal.atMost)}` : `≥ ${whole(goal.atLeast)}`}: ${met ? 'reached' : 'missed'}`;
  const around = spread === undefined ? '' : ` ${range(spread, digitsFor(value))}`;
  return `  ${labelOf(result)}: ${number(value)} ${unit}${around}${bound}${note === undefined ? '' : ` (${note})`}`;
}

function range({ low, high }: Spread, digits: number): string {
  return `[${number(low, digits)} – ${number(high, digits)}]`;
}

const whole = (value: number) => number(value, value < 10 ? 2 : 0);

const digitsFor = (value: number) => (value < 10 ? 2 : value < 1_000 ? 1 : 0);

function number(value: number, digits = digitsFor(value)): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
