import type { Terminal } from './terminal.js';

/** A line at the bottom of a terminal that is drawn again and again, and gives way to whatever else is printed. */
export interface ProgressBar {
  update(done: number, total: number, text: string): void;
  /** Takes the line away. */
  clear(): void;
}

const WIDTH = 24;
/** Milliseconds between two drawings. */
const INTERVAL_MS = 80;

export function progressBar({ write, paint, columns }: Terminal, label: string): ProgressBar {
  let drawnAt = 0;
  let isDrawn = false;

  return {
    update(done, total, text) {
      const now = performance.now();
      if (isDrawn && now - drawnAt < INTERVAL_MS && done < total) return;
      drawnAt = now;
      const filled = total === 0 ? 0 : Math.round((Math.min(done, total) / total) * WIDTH);
      const bar = paint('cyan', '█'.repeat(filled)) + paint('dim', '░'.repeat(WIDTH - filled));
      const room = Math.max(0, columns - label.length - WIDTH - 3);
      write(`\r\u001b[2K${label} ${bar} ${text.slice(0, room)}`);
      isDrawn = true;
    },
    clear() {
      if (isDrawn) write('\r\u001b[2K');
      isDrawn = false;
    },
  };
}
