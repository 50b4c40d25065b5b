import type { RatioResult, Result } from './result.js';
import { labelOf } from './text.js';

const ROW = 26;
const LEFT = 430;
const WIDTH = 960;
const RIGHT = 70;
const TOP = 64;
/** The axis is logarithmic and ends here; a longer bar has an open end. */
const AXIS = [0.25, 0.5, 1, 2, 4, 8, 16] as const;

/** Every ratio as a bar from 1, its goal as a tick. Colours follow the reader's scheme, light or dark. */
export function plotOf(results: readonly Result[], caption: string): string {
  const ratios = results.filter((result): result is RatioResult => result.kind === 'ratio');
  const height = TOP + ratios.length * ROW + 40;
  const bottom = TOP + ratios.length * ROW;
  const grid = AXIS.map((value) => {
    const at = x(value);
    const name = value === 1 ? 'one' : 'grid';
    return (
      `<line class="${name}" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${bottom}"/>` +
      `<text class="axis" x="${at}" y="${TOP - 12}" text-anchor="middle">${value} ×</text>`
    );
  });
  const rows = ratios.map((result, index) => row(result, TOP + index * ROW));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Ratios of event-sessions to what it is compared with">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.axis, .caption { font-size: 12px; fill: #57606a; }
.grid { stroke: #d0d7de; } .one { stroke: #57606a; stroke-width: 1.5; }
.reached { fill: #2da44e; } .missed { fill: #bf8700; }
.goal { stroke: #24292f; stroke-width: 2; } .spread { stroke: #57606a; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .axis, .caption { fill: #8d96a0; }
.grid { stroke: #30363d; } .one { stroke: #8d96a0; }
.reached { fill: #3fb950; } .missed { fill: #d29922; }
.goal { stroke: #e6edf3; } .spread { stroke: #8d96a0; }
}
</style>
<text x="12" y="24">How fast the library is, next to what one would write by hand (× faster; the tick is the goal)</text>
${[...grid, ...rows].join('\n')}
<text class="caption" x="12" y="${height - 12}">${escaped(caption)}</text>
</svg>
`;
}

function row(result: RatioResult, y: number): string {
  const { ratio, goal, ratioSpread } = result;
  const [from, to] = [x(Math.min(1, ratio)), x(Math.max(1, ratio))];
  const middle = y + ROW / 2;
  const verdict = ratio >= goal ? 'reached' : 'missed';
  const end = Math.max(to, x(goal), x(ratioSpread.high)) + 8;
  return [
    `<text x="${LEFT - 14}" y="${middle + 4}" text-anchor="end">${escaped(labelOf(result))}</text>`,
    `<rect class="${verdict}" x="${from}" y="${y + 5}" width="${Math.max(1, to - from).toFixed(1)}" height="${ROW - 10}" rx="2"/>`,
    `<line class="spread" x1="${x(ratioSpread.low)}" y1="${middle}" x2="${x(ratioSpread.high)}" y2="${middle}"/>`,
    `<line class="goal" x1="${x(goal)}" y1="${y + 3}" x2="${x(goal)}" y2="${y + ROW - 3}"/>`,
    `<text x="${end}" y="${middle + 4}">${ratio.toFixed(2)}</text>`,
  ].join('');
}

function x(ratio: number): number {
  const [low, high] = [AXIS[0], AXIS.at(-1) ?? 1];
  const within = Math.log(Math.min(high, Math.max(low, ratio)) / low) / Math.log(high / low);
  return Math.round((LEFT + within * (WIDTH - LEFT - RIGHT)) * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
