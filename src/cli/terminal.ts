/** A stream that text is written to; `process.stdout` is one. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** SGR codes. `styleText` of `node:util` would ask the process's own stdout whether it may. */
const TONES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
type Tone = keyof typeof TONES;
/** Leaves the text as it is where colours are not wanted. */
export type Paint = (tone: Tone, text: string) => string;

export interface Terminal {
  line(text?: string): void;
  readonly paint: Paint;
  /** Somebody looks at it, and lines can be drawn again. */
  readonly isInteractive: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Colours only on a terminal, and not with NO_COLOR (https://no-color.org) or `TERM=dumb`. */
export function terminal(output: Output, env: Environment): Terminal {
  const isInteractive = output.isTTY === true && env.TERM !== 'dumb';
  const coloured = isInteractive && !env.NO_COLOR;
  const write = (text: string) => {
    output.write(text);
  };
  return {
    line: (text = '') => write(`${text}\n`),
    paint: (tone, text) => {
      const [on, off] = TONES[tone];
      return coloured ? `\u001b[${on}m${text}\u001b[${off}m` : text;
    },
    isInteractive,
    columns: output.columns ?? 80,
    write,
  };
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows in columns; the last column is not padded. Cells are plain text. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string[] {
  const widths = columns.map(({ title }, i) =>
    rows.reduce((width, row) => Math.max(width, row[i]?.length ?? 0), title.length),
  );
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, i) => {
        if (columns[i]?.align === 'right') return cell.padStart(widths[i] ?? 0);
        return i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0);
      })
      .join('  ');
  return [paint('dim', lineOf(columns.map(({ title }) => title))), ...rows.map(lineOf)];
}
