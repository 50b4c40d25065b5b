import { setTimeout as pause } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Line, Scene } from './scene.js';

/** Where the demo says what happens: as prose, or as one JSON object a line. */
export interface Teller {
  opening(facts: { store: string; broker: string }): Promise<void>;
  scene(scene: Scene): Promise<void>;
  missing(servers: readonly { server: string; address: string; reason: string; hint: string }[]): void;
  ending(facts: { durationMs: number; published: number; embedded: boolean }): void;
}

const WIDTH = 80;
const READING_PAUSE_MS = 250;

type Style = Parameters<typeof styleText>[0];

export function jsonTeller(out: NodeJS.WriteStream): Teller {
  const write = (facts: object) => void out.write(`${JSON.stringify(facts)}\n`);
  return {
    opening: async (facts) => write({ step: 'opening', ...facts }),
    scene: async ({ step, facts }) => write({ step, ...facts }),
    missing: (servers) => write({ step: 'missing', servers }),
    ending: (facts) => write({ step: 'ending', ...facts }),
  };
}

export function proseTeller(out: NodeJS.WriteStream, err: NodeJS.WriteStream): Teller {
  const forReader = out.isTTY === true;
  const coloured = forReader && !process.env.NO_COLOR;
  const width = Math.min(WIDTH, out.columns || WIDTH);
  const style = (format: Style, text: string) =>
    coloured ? styleText(format, text, { validateStream: false }) : text;
  const print = (text = '') => void out.write(`${text}\n`);
  let number = 0;

  /** The text with a mark before it, broken to the width, continued under its first word. */
  function marked(mark: string, indent: number, format: Style, text: string) {
    const margin = ' '.repeat(indent + mark.length + 1);
    const [first = '', ...rest] = wrap(text, width - margin.length);
    print(`${' '.repeat(indent)}${style(format, `${mark} ${first}`)}`);
    for (const line of rest) print(margin + style(format, line));
  }

  function line(line: Line) {
    if ('call' in line) marked('›', 3, 'cyan', line.call);
    else if ('answer' in line) marked('✓', 5, 'green', line.answer);
    else if ('refusal' in line) marked('✗', 5, 'red', line.refusal);
    else if ('note' in line) marked('·', 3, 'dim', line.note);
    else for (const row of columns(line.table)) print(`     ${row}`.slice(0, width));
  }

  return {
    async opening({ store, broker }) {
      print();
      print(style('bold', ' event-sessions: an order, from its first request to the broker'));
      print(style('dim', ` store: ${store}   broker: ${broker}`));
    },

    async scene({ title, lines }) {
      if (forReader) await pause(READING_PAUSE_MS);
      number += 1;
      print();
      print(style('bold', ` ${number} ${title}`));
      for (const each of lines) line(each);
    },

    missing(servers) {
      for (const { server, address, hint } of servers) {
        err.write(`${server} cannot be reached at ${address}. Is it running? ${hint}\n`);
      }
    },

    ending({ durationMs, published, embedded }) {
      print();
      print(
        style('bold', ` ${published} events published, none lost, ${(durationMs / 1_000).toFixed(1)} s.`),
      );
      if (embedded) {
        print(' The same on real servers:');
        print(style('cyan', '   npm run demo -- --redis redis://127.0.0.1:6379 --nsqd 127.0.0.1:4150'));
      }
      print();
    },
  };
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
